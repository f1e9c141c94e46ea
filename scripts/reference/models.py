"""Small random Hugging Face model folders and their logits."""

import json
import math
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

SMALL = dict(
    vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=128, rms_norm_eps=1e-5, rope_theta=10000.0,
    initializer_range=0.15, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)


@torch.no_grad()
def without_identities(model: torch.nn.Module) -> torch.nn.Module:
    """The model with random norms and biases, so that none of them does nothing by accident."""
    for name, parameter in model.named_parameters():
        if name.endswith("norm.weight"):
            parameter.add_(0.2 * torch.randn_like(parameter))
        elif name.endswith(".bias"):
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return model.eval()


def random_model(seed: int, mistral: bool = False, **settings) -> torch.nn.Module:
    """A model with random weights, norms and biases included."""
    torch.manual_seed(seed)
    settings = {**SMALL, **settings}
    model = (MistralForCausalLM(MistralConfig(sliding_window=None, **settings)) if mistral
             else LlamaForCausalLM(LlamaConfig(**settings)))
    return without_identities(model)


def save_model(model: torch.nn.Module, folder: Path, drop=(), add=None, **options) -> None:
    """Writes the folder as save_pretrained does; `drop` and `add` then edit config.json by hand."""
    model.save_pretrained(folder, **options)
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    for key in drop:
        config.pop(key, None)
    config.update(add or {})
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def load_model(folder: Path, dtype=torch.float32) -> torch.nn.Module:
    """The folder's model with eager attention: no fused kernel decides the rounding of a reference."""
    return AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()


@torch.no_grad()
def logits_of(folder: Path, ids: torch.Tensor) -> tuple[torch.Tensor, float]:
    """float32 logits [seq, vocab] of a freshly loaded model, and how far they are from float64 ones.

    Fresh, because transformers' dynamic RoPE remembers the longest sequence that a model object saw.
    """
    single = load_model(folder)(input_ids=ids[None]).logits[0].float()
    double = load_model(folder, torch.float64)(input_ids=ids[None]).logits[0]
    return single.contiguous(), (single - double).abs().max().item()


def spread(logits: torch.Tensor) -> float:
    """Standard deviation over the vocabulary, averaged: a flat model would make any comparison pass."""
    return logits.std(dim=-1).mean().item()


def finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"a reference value is {value}")
    return value
