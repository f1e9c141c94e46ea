"""Goldens of decoding: transformers' greedy texts on the goldens of the plain model, and its logits processors."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers.generation import logits_process

from .models import SMALL, load_model

MODELS = ["llama2", "gqa", "head_dim", "tied", "attention_bias", "mlp_bias", "linear", "llama3", "yarn_mscale",
          "mistral"]
LENGTHS = [3, 17, 30]
PROCESSORS = [
    dict(temperature=0.7), dict(temperature=1.3, top_k=5), dict(top_p=0.8), dict(top_p=0.3), dict(min_p=0.1),
    dict(temperature=0.9, top_k=20, top_p=0.9, min_p=0.02), dict(repetition_penalty=1.3), dict(suppressed=[3, 40]),
    dict(repetition_penalty=1.12, temperature=1.5, top_k=30, top_p=0.95, suppressed=[7]), dict(top_k=200)]
OFF = dict(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, suppressed=[])


@torch.no_grad()
def greedy(model: torch.nn.Module, prompt: list[int], stop_tokens: list[int], **settings) -> list[int]:
    """The new tokens of transformers' generate."""
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, pad_token_id=0,
                         eos_token_id=stop_tokens or None, **settings)
    return out[0, len(prompt):].tolist()


def processed(logits: torch.Tensor, seen: torch.Tensor, options: dict) -> torch.Tensor:
    """Probabilities after transformers' processors, in the order of its generate."""
    chain = []
    if options["repetition_penalty"] != 1:
        chain.append(logits_process.RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    if options["suppressed"]:
        chain.append(logits_process.MinNewTokensLengthLogitsProcessor(seen.shape[1], 1, options["suppressed"]))
    if options["temperature"] != 1:
        chain.append(logits_process.TemperatureLogitsWarper(options["temperature"]))
    if options["top_k"]:
        chain.append(logits_process.TopKLogitsWarper(options["top_k"]))
    if options["top_p"] < 1:
        chain.append(logits_process.TopPLogitsWarper(options["top_p"]))
    if options["min_p"]:
        chain.append(logits_process.MinPLogitsWarper(options["min_p"]))
    for processor in chain:
        logits = processor(seen, logits)
    return logits.softmax(-1)


def make(root: Path, seed: int) -> dict:
    """Writes processors.safetensors below `root`; returns the entries of index.json."""
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for number, name in enumerate(MODELS):
        model = load_model(root.parent / "model" / name, torch.float64)
        prompts = [torch.randint(0, SMALL["vocab_size"], (n,), generator=generator).tolist() for n in LENGTHS]
        for penalty in (1.0, 1.12):
            settings = dict(max_new_tokens=40, min_new_tokens=12 if number % 2 else 0, repetition_penalty=penalty)
            # A token that the first prompt's text has in its middle ends the texts of a third of the cases.
            stop = [greedy(model, prompts[0], [], **settings)[20]] if number % 3 == 0 else []
            cases.append({"model": name, "prompts": prompts, "stop_tokens": stop, **settings,
                          "tokens": [greedy(model, prompt, stop, **settings) for prompt in prompts]})
    if len({tuple(t) for case in cases for t in case["tokens"]}) < 40:
        raise ValueError("the greedy texts are too much alike to show anything")
    logits = 3 * torch.randn(4, 64, generator=generator)
    seen = torch.randint(0, 64, (4, 10), generator=generator)
    tensors, processors = {"logits": logits, "seen": seen}, []
    for number, given in enumerate(PROCESSORS):
        options = {**OFF, **given}
        tensors[f"{number}"] = processed(logits, seen, options).contiguous()
        processors.append({"name": f"{number}", **options})
    save_file(tensors, root / "processors.safetensors")
    return {"dtype": "float64", "cases": cases, "processors": processors}
