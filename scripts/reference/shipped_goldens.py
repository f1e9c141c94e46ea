"""Goldens of the shipped model: transformers opens models/small-6m, tokenises a text and scores it.

text.json: the text, its ids with BOS, the NLL in nats of every id but the first, and the largest logits of the last
row by id. To be made again whenever the model is.
"""

import json
from pathlib import Path

import torch
from transformers import LlamaTokenizer

from .models import load_model

MODEL = Path(__file__).resolve().parents[2] / "models" / "small-6m"
TEXT = """CHAPTER I. The Old House

It was late in the evening of the 3rd of October, 1871, when the carriage stopped before the gate. \
"You are expected, sir,"
said the servant -- an old man with a lantern -- "but nobody thought that you would come in such weather!" He led the \
way
through the garden; the rain had not ceased since noon, and the path, which nobody had swept for years, was deep in \
leaves.

“Café, naïve, œuvre,” read the visitor from a torn page upon the table; then he laughed. ½ of it was gone: \
中文 stood below.\t(The end.)
"""


def make(folder: Path, seed: int) -> dict:
    tokenizer = LlamaTokenizer.from_pretrained(MODEL)
    ids = tokenizer(TEXT)["input_ids"]
    with torch.no_grad():
        logits = load_model(MODEL)(torch.tensor([ids])).logits[0]
    nll = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(ids[1:]), reduction="none")
    best = logits[-1].topk(64)
    made = {"text": TEXT, "ids": ids, "nll": [round(value, 7) for value in nll.tolist()],
            "last_row": [[index, round(value, 6)] for index, value in zip(best.indices.tolist(), best.values.tolist())]}
    (folder / "text.json").write_text(json.dumps(made, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return {"tokens": len(ids), "mean_nll": nll.mean().item()}
