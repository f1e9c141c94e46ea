"""Goldens of the corrected Temp-LoRA loop: ten chunks, one entry of expected.json for each set of settings."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .adapters import lora_parameters, new_adapter, open_adapter, save_adapter
from .full_weights import FullWeights
from .models import load_model
from .streams import phrase_stream, trained_model
from .temp_lora import DEFAULTS, run_loop

MODEL = dict(vocab_size=256, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=True, initializer_range=0.12)
VARIANTS = {
    "default": {},
    "warmup_chunks": {"train.warmup_steps": None, "train.warmup_chunks": 2},
    "warmup_long": {"train.warmup_steps": 7},
    "no_warmup": {"train.warmup_steps": 0},
    "context_shorter": {"window.context_tokens": 16},
    "context_longer": {"window.context_tokens": 64, "train.prefix_tokens": 24},
    "no_context": {"window.context_tokens": 0},
    "no_prefix": {"train.prefix_tokens": 0},
    "no_context_no_prefix": {"window.context_tokens": 0, "train.prefix_tokens": 0},
    "moments_reset": {"train.moments": "reset"},  # see TOLERANCES
    "lag": {"train.lag_chunks": 1},
    "first_chunk_short": {"window.first_chunk_tokens": 8},
    "first_chunk_long": {"window.first_chunk_tokens": 50},
    "last_chunk_short": {"tokens": 9 * 24 + 11},
    "last_chunk_one_token": {"tokens": 9 * 24 + 1},
    "weight_decay": {"train.weight_decay": 0.01},
    "epochs": {"train.epochs": 3},
    "one_epoch": {"train.epochs": 1},
    "clip_small": {"train.clip_norm": 0.05},
    "no_clip": {"train.clip_norm": 0.0},
    "label_prefix": {"train.label_prefix": True},
    "update_every": {"train.update_every_chunks": 3},
    "hard": {"train.hard_quantile": 0.5, "train.hard_after_chunks": 3},
    "hard_lag": {"train.hard_quantile": 0.7, "train.hard_after_chunks": 2, "train.lag_chunks": 1},
    "sgd": {"train.optimizer": "sgd", "train.learning_rate": 0.5, "train.clip_norm": 0.0},
    "sgd_decay": {"train.optimizer": "sgd", "train.learning_rate": 0.5, "train.decay_to_start": 0.05},
    "rms": {"train.optimizer": "rms", "train.rms_eps": 1e-4},
    "rms_decay": {"train.optimizer": "rms", "train.decay_to_start": 0.1, "train.rms_eps": 1e-4},
    "chunk_rows": {"lora.rows": "chunk"},
    "chunk_rows_no_context": {"lora.rows": "chunk", "window.context_tokens": 0, "train.prefix_tokens": 0},
    "prefix_constant": {"train.prefix_gradient": False, "window.context_tokens": 24},
    "replay": {"train.replay_share": 0.25},
    "replay_chunk_rows": {"train.replay_share": 0.5, "lora.rows": "chunk"},
    "full_sgd": {"lora.update": "full", "lora.init_from": None, "train.optimizer": "sgd", "train.learning_rate": 0.05},
    "full_sgd_decay_chunk_rows": {"lora.update": "full", "lora.init_from": None, "train.optimizer": "sgd",
                                  "train.learning_rate": 0.2, "train.decay_to_start": 0.02, "lora.rows": "chunk"},
    "full_rms_decay": {"lora.update": "full", "lora.init_from": None, "train.optimizer": "rms", "train.rms_eps": 1e-4,
                       "train.learning_rate": 2e-3, "train.decay_to_start": 0.02},
    "adam": {"train.adam_beta1": 0.8, "train.adam_beta2": 0.95, "train.adam_eps": 1e-5},
}

# A fresh AdamW's first step moves every weight by its whole rate, in the direction of the gradient's sign, however
# small the gradient. Rounding decides some of these signs: weights that start with a relative difference of 1e-7
# part by 2e-4 in the loss and 2e-3 in single tokens over the ten chunks, in the reference itself.
TOLERANCES = {"moments_reset": 5e-4}


def rounded(value):
    """Nine significant digits: all that a float32 has, in files that stay small."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return {key: rounded(item) for key, item in value.items()} if isinstance(value, dict) else value


def make(root: Path, seed: int, add: bool = False) -> dict:
    """root/model, root/adapter (PEFT, B = 0), tokens.safetensors, expected.json, default_adapter.safetensors. With
    `add` only what expected.json lacks of VARIANTS."""
    there = {}
    if add:
        there = {v["name"]: v for v in json.loads((root / "expected.json").read_text())["variants"]}
        tokens = load_file(root / "tokens.safetensors")["tokens"]
    else:
        for name in ("model", "adapter"):
            shutil.rmtree(root / name, ignore_errors=True)
        trained_model(root / "model", seed, steps=150, length=96, **MODEL)
        save_adapter(new_adapter(load_model(root / "model"), seed + 1, rank=4, alpha=16), root / "adapter", "../model")
        tokens = phrase_stream(10 * 24, MODEL["vocab_size"], seed + 2, phrases=2)
        save_file({"tokens": tokens}, root / "tokens.safetensors")

    variants = []
    for name, changes in VARIANTS.items():
        if name in there:
            variants.append(there[name])
            continue
        changes = dict(changes)
        count = changes.pop("tokens", len(tokens))
        records = {}
        for dtype in (torch.float32, torch.float64):
            if changes.get("lora.update") == "full":
                model = FullWeights(load_model(root / "model", dtype), load_model(root / "model", dtype))
            else:
                model = open_adapter(load_model(root / "model", dtype), root / "adapter")
            records[dtype] = [result.record() for result in run_loop(model, tokens[:count], changes)]
            if name == "default" and dtype == torch.float32:
                save_file({key: parameter.detach().contiguous() for key, parameter in lora_parameters(model)},
                          root / "default_adapter.safetensors")
        rows = records[torch.float32]
        moved = [row["lora_nll"] - row["base_nll"] for row in rows]
        rounding = max(abs(row[key] - exact[key]) for row, exact in zip(rows, records[torch.float64])
                       for key in ("base_nll", "lora_nll"))
        if sum(abs(m) >= 0.05 for m in moved) < 6 or rounding > 2e-5:
            raise ValueError(f"loop {name}: moved {moved}, rounding {rounding:.1e}: a useless golden")
        variants.append({"name": name, "tokens": count, "settings": {**DEFAULTS, **changes},
                         "float32_rounding": rounding, "tolerance": TOLERANCES.get(name, 1e-4),
                         "chunks": rounded(rows)})
    (root / "expected.json").write_text(
        "{\"variants\": [\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in variants) + "\n]}\n")
    return {"model": "loop/model", "adapter": "loop/adapter", "rank": 4, "alpha": 16,
            "variants": [{"name": v["name"], "float32_rounding": v["float32_rounding"],
                          "last_moved": v["chunks"][-1]["lora_nll"] - v["chunks"][-1]["base_nll"]} for v in variants]}
