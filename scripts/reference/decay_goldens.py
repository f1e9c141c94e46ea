"""Goldens of rates that fall, of AdamW that is drawn back, and of one adapter that reads several documents, on the
model and the adapter of the loop's goldens."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from .adapters import open_adapter
from .loop_goldens import rounded
from .models import load_model
from .temp_lora import DEFAULTS, Reading, run_loop

ONE = [240]
BOOKS = [101, 72, 67]
VARIANTS = {
    "sqrt": (ONE, {"train.rate_decay": "sqrt"}),
    "sqrt_warmup_chunks": (ONE, {"train.rate_decay": "sqrt", "train.warmup_steps": None, "train.warmup_chunks": 3}),
    "linear": (ONE, {"train.rate_decay": "linear"}),
    "linear_lag": ([10 * 24 - 7], {"train.rate_decay": "linear", "train.lag_chunks": 1,
                                   "window.first_chunk_tokens": 9}),
    "decay_to_start": (ONE, {"train.decay_to_start": 0.2}),
    "decay_to_start_weight_decay": (ONE, {"train.decay_to_start": 0.05, "train.weight_decay": 0.01, "train.epochs": 3}),
    "books": (BOOKS, {}),
    "books_linear": (BOOKS, {"train.rate_decay": "linear", "train.warmup_steps": 5}),
    "books_sgd": (BOOKS, {"train.optimizer": "sgd", "train.learning_rate": 0.5, "train.decay_to_start": 0.05,
                          "train.rate_decay": "sqrt"}),
    "books_update_every": (BOOKS, {"train.update_every_chunks": 2, "train.lag_chunks": 1,
                                   "train.decay_to_start": 0.05}),
}


def make(root: Path, _seed: int) -> dict:
    """expected.json: a list of documents a variant, each the next tokens of loop/tokens.safetensors."""
    loop = root.parent / "loop"
    tokens = load_file(loop / "tokens.safetensors")["tokens"]
    variants = []
    for name, (lengths, changes) in VARIANTS.items():
        settings = {**DEFAULTS, **changes}
        records = {}
        for dtype in (torch.float32, torch.float64):
            model, reading = open_adapter(load_model(loop / "model", dtype), loop / "adapter"), Reading(sum(lengths))
            records[dtype] = [[result.record() for result in run_loop(model, part, settings, reading)]
                              for part in tokens[:sum(lengths)].split(lengths)]
        rows = [row for document in records[torch.float32] for row in document]
        exact = [row for document in records[torch.float64] for row in document]
        rounding = max(abs(row[key] - other[key]) for row, other in zip(rows, exact)
                       for key in ("base_nll", "lora_nll"))
        moved = [row["lora_nll"] - row["base_nll"] for row in rows]
        if sum(abs(m) >= 0.05 for m in moved) < 6 or rounding > 2e-5:
            raise ValueError(f"decay {name}: moved {moved}, rounding {rounding:.1e}: a useless golden")
        if len(lengths) > 1:
            settings["lora.reset_every_tokens"] = -1
        variants.append({"name": name, "tokens": lengths, "settings": settings, "float32_rounding": rounding,
                         "tolerance": 1e-4, "documents": rounded(records[torch.float32])})
    (root / "expected.json").write_text(
        "{\"variants\": [\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in variants) + "\n]}\n")
    return {"model": "loop/model", "adapter": "loop/adapter", "tokens": "loop/tokens.safetensors",
            "variants": [{"name": v["name"], "float32_rounding": v["float32_rounding"]} for v in variants]}
