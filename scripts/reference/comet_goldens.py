"""Goldens of COMET: scores of unbabel-comet on a small random checkpoint, and the folder converted from it.

model/                  the converted folder of the first variant
config-<variant>.json   config.json of each variant; the weights are the same
segments.json           [src, mt, ref] of every segment
scores-<variant>.json   unbabel-comet's score of each segment
tokens.json             texts and the ids that its tokenizer gives them, cut at the longest input
"""

import importlib.metadata
import json
import logging
import math
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from .comet_model import make_encoder, make_metric, save_checkpoint
from .comet_text import ODD, segments

CONVERT = Path(__file__).resolve().parents[1] / "convert_comet.py"
# sparsemax_patch is what wmt22-comet-da's settings say, and a softmax is what the package makes of it.
VARIANTS = {"softmax": dict(layer_transformation="sparsemax_patch", activations="Tanh", final_activation=None),
            "sparsemax": dict(layer_transformation="sparsemax", activations="Tanh", final_activation=None),
            "softsign": dict(layer_transformation="sparsemax", activations="softsign", final_activation="Sigmoid")}


def predict(checkpoint: Path, inputs: list) -> list[float]:
    from comet import load_from_checkpoint

    model = load_from_checkpoint(str(checkpoint), local_files_only=True)
    return model.predict(inputs, batch_size=16, gpus=0, progress_bar=False)["scores"]


def make(root: Path, seed: int) -> dict:
    if importlib.metadata.version("unbabel-comet") != "2.2.7":
        raise ValueError("unbabel-comet 2.2.7 is wanted")
    for name in ["comet", "pytorch_lightning", "pytorch_lightning.utilities.rank_zero"]:
        logging.getLogger(name).setLevel(logging.ERROR)
    inputs = segments(seed)
    entries = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        make_encoder(scratch / "encoder", seed)
        weights = None
        for number, (name, head) in enumerate(VARIANTS.items()):
            model = make_metric(scratch / "encoder", seed + 1, **head)
            checkpoint = save_checkpoint(model, scratch / name)
            converted = scratch / f"{name}-converted"
            subprocess.run([sys.executable, CONVERT, scratch / name, converted], check=True)
            weights = weights or (converted / "model.safetensors").read_bytes()
            if (converted / "model.safetensors").read_bytes() != weights:
                raise ValueError("the variants' weights differ")
            scores = predict(checkpoint, inputs)
            spread = torch.tensor(scores).std().item()
            if not all(map(math.isfinite, scores)) or spread < (0.02 if head["final_activation"] else 0.1):
                raise ValueError(f"{name}: scores spread by {spread}: a useless golden")
            if number == 0:
                shutil.rmtree(root / "model", ignore_errors=True)
                shutil.copytree(converted, root / "model")
            shutil.copyfile(converted / "config.json", root / f"config-{name}.json")
            (root / f"scores-{name}.json").write_text(json.dumps(scores) + "\n")
            entries.append({"name": name, "segments": len(scores), "mean": sum(scores) / len(scores), "std": spread,
                            "tolerance": 1e-4})
        tokenizer = model.encoder.tokenizer
        longest = model.encoder.max_positions - 2
        texts = sorted({*ODD, *(text for item in inputs[:50] for text in item.values())})
        ids = [tokenizer(text, truncation=True, max_length=longest)["input_ids"] for text in texts]
        cut = sum(len(tokenizer(text)["input_ids"]) > longest for item in inputs for text in item.values())
    lines = [json.dumps([item["src"], item["mt"], item["ref"]], ensure_ascii=False) for item in inputs]
    (root / "segments.json").write_text("[" + ",\n".join(lines) + "]\n", encoding="utf-8")
    lines = [json.dumps([text, found], ensure_ascii=False, separators=(",", ":")) for text, found in zip(texts, ids)]
    (root / "tokens.json").write_text("[" + ",\n".join(lines) + "]\n", encoding="utf-8")
    return {"attention": "sdpa", "unbabel_comet": "2.2.7", "sentencepiece": importlib.metadata.version("sentencepiece"),
            "tokenizers": importlib.metadata.version("tokenizers"), "longest_input": longest, "texts_cut": cut,
            "variants": entries}
