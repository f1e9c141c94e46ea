"""Golden of `fidelity: "official"`: what the released code prints for one document."""

import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .adapters import new_adapter, open_adapter, save_adapter
from .loop_goldens import rounded
from .models import load_model
from .released import run_released
from .streams import phrase_stream, trained_model
from .temp_lora import run_loop

MODEL = dict(vocab_size=256, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
             num_key_value_heads=2, max_position_embeddings=1024, initializer_range=0.12)
TOKENS, CHUNK, PREFIX, RATE = 4500, 512, 512, 3e-3
LOOP = {"window.first_chunk_tokens": 1024, "window.chunk_tokens": CHUNK, "window.context_tokens": PREFIX,
        "train.prefix_tokens": PREFIX, "train.learning_rate": RATE, "train.warmup_steps": None,
        "train.warmup_chunks": 2}
DOCUMENTS = {"long": TOKENS, "three_chunks": 1700, "one_chunk": 1000, "below_chunk": 400}


def make(root: Path, seed: int) -> dict:
    """root/model, root/adapter, tokens.safetensors (tokens int64 [4500]), expected.json: one entry for each
    length of document, its first tokens."""
    for name in ("model", "adapter"):
        shutil.rmtree(root / name, ignore_errors=True)
    trained_model(root / "model", seed + 10, steps=200, length=128, **MODEL)
    save_adapter(new_adapter(load_model(root / "model"), seed + 11, rank=4, alpha=16), root / "adapter", "../model")
    tokens = phrase_stream(TOKENS, MODEL["vocab_size"], seed + 12, phrases=5)
    save_file({"tokens": tokens}, root / "tokens.safetensors")
    documents = []
    for name, count in DOCUMENTS.items():
        results = [run_released(open_adapter(load_model(root / "model", dtype), root / "adapter"), tokens[:count],
                                CHUNK, PREFIX, RATE) for dtype in (torch.float32, torch.float64)]
        rounding = max(abs(results[0][key] - results[1][key]) for key in ("base_ppl", "lora_ppl"))
        # The loop of temp_lora.py under the same settings is written independently: both must agree.
        loop = run_loop(open_adapter(load_model(root / "model"), root / "adapter"), tokens[:count], LOOP)
        apart = max(abs(a.record()["lora_nll"] - b["lora_nll"])
                    for a, b in zip(loop, results[0]["chunks"], strict=True))
        if apart > 1e-5:
            raise ValueError(f"official {name}: the two references are {apart:.1e} apart")
        if rounding > 2e-4:
            raise ValueError(f"official {name}: rounding {rounding:.1e}: a useless golden")
        documents.append({"name": name, "tokens": count, "float32_rounding": rounding, **rounded(results[0])})
    if documents[0]["base_ppl"] - documents[0]["lora_ppl"] < 1:
        raise ValueError("official: the adapter learned nothing: a useless golden")
    settings = {"fidelity": "official", "window.chunk_tokens": CHUNK, "train.prefix_tokens": PREFIX,
                "train.learning_rate": RATE, "lora.rank": 4, "lora.alpha": 16, "lora.dropout": 0.0}
    (root / "expected.json").write_text(json.dumps({"settings": settings, "tolerance": 1e-3, "documents": documents},
                                                   indent=1) + "\n")
    return {"model": "official/model", "adapter": "official/adapter", "settings": settings}
