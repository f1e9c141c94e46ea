"""Goldens of the model families and of config.json's contradictions, made by transformers 5: one small folder a
variant.

root/<name>/: the model in bfloat16, adapter/ (PEFT), expected.safetensors (input_ids, logits, loss and grad.<PEFT name>
with the adapter on), all in float32 after upcasting. index.json: greedy texts (float64) and ten chunks of the loop,
which starts from the same adapter.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

from .adapters import ALL_TARGETS, new_adapter, open_adapter, save_adapter
from .decode_goldens import greedy
from .lora_goldens import measure
from .loop_goldens import rounded
from .models import finite, load_model, logits_of, save_model, spread, without_identities
from .streams import phrase_stream
from .temp_lora import DEFAULTS, run_loop

TRANSFORMERS = "5.24."
TOKENS, LABELLED, RANK, ALPHA = 40, 20, 2, 4
SMALL = dict(vocab_size=48, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=1, max_position_embeddings=128, initializer_range=0.15, tie_word_embeddings=False,
             bos_token_id=1, eos_token_id=2, pad_token_id=None)
LOOP = {**DEFAULTS, "window.chunk_tokens": 12, "window.context_tokens": 20, "window.first_chunk_tokens": 12,
        "train.prefix_tokens": 20,
        "train.learning_rate": 1e-2}
FUSED_TARGETS = ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32, "attention_factor": 1.1}
BY_TYPE = {"full_attention": {**YARN, "rope_theta": 20000.0},
           "sliding_attention": {"rope_type": "default", "rope_theta": 3000.0}}

# Each variant: model_type, settings of the config, keys that config.json then loses and gains.
VARIANTS = {
    "mistral_window": dict(type="mistral", settings=dict(sliding_window=7)),
    "mistral_default_window": dict(type="mistral", settings=dict(), drop=("sliding_window",)),
    "qwen2": dict(type="qwen2", settings=dict()),
    "qwen2_window": dict(type="qwen2", drop=("layer_types",), settings=dict(
        num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1)),
    "qwen2_layer_types": dict(type="qwen2", settings=dict(
        use_sliding_window=True, sliding_window=5, layer_types=["sliding_attention", "full_attention"])),
    "qwen3": dict(type="qwen3", settings=dict(head_dim=16, num_attention_heads=4, num_key_value_heads=2)),
    "qwen3_window": dict(type="qwen3", settings=dict(
        head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=9, max_window_layers=0)),
    "smollm3": dict(type="smollm3", settings=dict(num_hidden_layers=4), drop=("no_rope_layers", "layer_types")),
    "smollm3_window": dict(type="smollm3", drop=("layer_types", "tie_word_embeddings"), settings=dict(
        tie_word_embeddings=True, no_rope_layers=[1, 0], use_sliding_window=True, sliding_window=9, mlp_bias=True)),
    "olmo2": dict(type="olmo2", settings=dict(num_attention_heads=4, num_key_value_heads=2)),
    "olmo3": dict(type="olmo3", settings=dict(num_hidden_layers=4, sliding_window=8, rope_parameters=BY_TYPE),
                  drop=("layer_types",)),
    "olmo3_rope_scaling": dict(type="olmo3", settings=dict(sliding_window=8,
                                                           layer_types=["sliding_attention", "full_attention"]),
                               drop=("rope_parameters",), add=dict(rope_theta=500000.0, rope_scaling=YARN)),
    "phi3": dict(type="phi3", settings=dict(num_attention_heads=4, num_key_value_heads=2)),
    "phi3_window": dict(type="phi3", settings=dict(sliding_window=7)),
    # One thing said twice. What was made by hand here is read by transformers, which decides.
    "rope_both": dict(type="llama", settings=dict(), add=dict(
        rope_theta=30000.0, rope_scaling=LLAMA3, rope_parameters={"rope_type": "default", "rope_theta": 5000.0})),
    "rope_theta_inside": dict(type="llama", settings=dict(), drop=("rope_parameters",), add=dict(
        rope_theta=10000.0, rope_scaling={"type": "linear", "factor": 2.0, "rope_theta": 700.0})),
    "rope_original_outside": dict(type="llama", settings=dict(), drop=("rope_parameters",), add=dict(
        rope_theta=10000.0, original_max_position_embeddings=16, rope_scaling=LLAMA3)),
    "tied_other_head": dict(type="llama", settings=dict(), add=dict(tie_word_embeddings=True)),
}


def random_model(model_type: str, seed: int, settings: dict) -> torch.nn.Module:
    """Random weights, norms and biases included."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **{**SMALL, **settings}))
    return without_identities(model)


def loop_chunks(folder: Path, tokens: torch.Tensor) -> tuple[list[dict], float]:
    """Mean NLLs of ten chunks, and how far they are from float64 ones."""
    records = {}
    for dtype in (torch.float32, torch.float64):
        model = open_adapter(load_model(folder, dtype), folder / "adapter")
        records[dtype] = [result.record() for result in run_loop(model, tokens, LOOP)]
    keys = ("base_nll", "lora_nll")
    rows = [{key: record[key] for key in keys} for record in records[torch.float32]]
    rounding = max(abs(row[key] - exact[key]) for row, exact in zip(rows, records[torch.float64]) for key in keys)
    moved = [abs(row["lora_nll"] - rows[0]["lora_nll"]) for row in rows]
    if rounding > 2e-5 or max(moved) < 0.05:
        raise ValueError(f"{folder.name}: rounding {rounding:.1e}, moved {max(moved):.2f}: a useless golden")
    return rounded(rows), rounding


def make(root: Path, seed: int) -> dict:
    entries = []
    for number, (name, variant) in enumerate(VARIANTS.items()):
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        model = random_model(variant["type"], seed + number, variant["settings"])
        save_model(model.to(torch.bfloat16), folder, variant.get("drop", ()), variant.get("add"))
        targets = FUSED_TARGETS if variant["type"] == "phi3" else ALL_TARGETS
        adapter = new_adapter(load_model(folder), seed + number, rank=RANK, alpha=ALPHA, b_std=0.15, targets=targets)
        save_adapter(adapter, folder / "adapter", "..")

        generator = torch.Generator().manual_seed(seed + number)
        ids = torch.randint(0, SMALL["vocab_size"], (TOKENS,), generator=generator)
        logits, rounding = logits_of(folder, ids)
        if spread(logits) < 0.3 or rounding > 5e-6:
            raise ValueError(f"{name}: spread {spread(logits):.3f}, rounding {rounding:.1e}: a useless golden")
        labels = ids.clone()
        labels[:TOKENS - LABELLED] = -100
        single = measure(folder / "adapter", folder, ids, labels, torch.float32)
        double = measure(folder / "adapter", folder, ids, labels, torch.float64)
        grad_rounding = max((single[key] - double[key]).abs().max().item() for key in single if key != "logits")
        del single["logits"]
        save_file({"input_ids": ids, "logits": logits, **single}, folder / "expected.safetensors")

        prompts = [ids[:3].tolist(), ids[5:22].tolist()]
        texts = [greedy(load_model(folder, torch.float64), prompt, [], max_new_tokens=20) for prompt in prompts]
        chunks, loop_rounding = loop_chunks(folder, phrase_stream(10 * LOOP["window.chunk_tokens"], SMALL["vocab_size"],
                                                                  seed + number, phrases=2))
        entries.append({"name": name, "float32_rounding": finite(max(rounding, grad_rounding)),
                        "loop_rounding": finite(loop_rounding),
                        "tolerance": 1e-5, "prompts": prompts, "texts": texts,
                        "tokens": phrase_stream(10 * LOOP["window.chunk_tokens"], SMALL["vocab_size"], seed + number,
                                                phrases=2).tolist(),
                        "chunks": chunks})
    return {"rank": RANK, "alpha": ALPHA, "labelled_tokens": LABELLED, "loop": LOOP, "variants": entries}
