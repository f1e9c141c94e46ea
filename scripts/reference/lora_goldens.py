"""Goldens of LoRA: logits with the adapter on, the loss of labelled tokens, every gradient of A and B."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .adapters import lora_parameters, new_adapter, open_adapter, save_adapter
from .models import SMALL, load_model

LABELLED = 20
TOKENS = 48
ADAPTERS = {
    "all_targets": dict(covers="all seven projections of every layer", adapter=dict()),
    "subset": dict(covers="q, v and down of layer 1 only",
                   adapter=dict(targets=["q_proj", "v_proj", "down_proj"], layers=[1])),
}


def measure(folder: Path, model_folder: Path, ids: torch.Tensor, labels: torch.Tensor, dtype) -> dict:
    """Tensors of the golden, computed in `dtype`."""
    model = open_adapter(load_model(model_folder, dtype), folder)
    logits = model(input_ids=ids[None]).logits[0]
    loss = torch.nn.functional.cross_entropy(logits[:-1], labels[1:], ignore_index=-100)
    loss.backward()
    tensors = {"logits": logits.detach(), "loss": loss.detach()[None]}
    for name, parameter in lora_parameters(model):
        tensors["grad." + name] = parameter.grad
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


def make(root: Path, seed: int) -> dict:
    """root/<name>/: the PEFT folder and expected.safetensors (input_ids, labels, logits, loss, grad.<PEFT name>)."""
    entries = []
    model_folder = root.parent / "model" / "gqa"
    for number, (name, variant) in enumerate(ADAPTERS.items()):
        folder = root / name
        shutil.rmtree(folder, ignore_errors=True)
        adapter = new_adapter(load_model(model_folder), seed + number, rank=4, alpha=8, b_std=0.15,
                              **variant["adapter"])
        save_adapter(adapter, folder, "../../model/gqa")
        ids = torch.randint(0, SMALL["vocab_size"], (TOKENS,), generator=torch.Generator().manual_seed(seed + number))
        labels = ids.clone()
        labels[:TOKENS - LABELLED] = -100
        single = measure(folder, model_folder, ids, labels, torch.float32)
        double = measure(folder, model_folder, ids, labels, torch.float64)
        rounding = {key: (single[key] - double[key]).abs().max().item() for key in single}
        save_file({"input_ids": ids, "labels": labels, **single}, folder / "expected.safetensors")
        entries.append({
            "name": name, "covers": variant["covers"], "model": "model/gqa", "rank": 4, "alpha": 8,
            "labelled_tokens": LABELLED, "gradients": sum(key.startswith("grad.") for key in single),
            "largest_gradient": max(t.abs().max().item() for k, t in single.items() if k.startswith("grad.")),
            "float32_rounding": max(rounding.values()), "tolerance": 1e-5})
    return {"adapters": entries}
