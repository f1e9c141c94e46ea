"""Goldens of the translation experiment: a small model, two made-up novels, and what the released loop makes of
them."""

import json
import shutil
from pathlib import Path

import torch
from transformers import LlamaTokenizer

from .adapters import new_adapter, open_adapter, save_adapter
from .guofeng import SETTINGS, run_novel
from .guofeng_text import GuoFengText
from .loop_goldens import rounded
from .made_up_novel import novel
from .models import load_model, random_model, save_model

TOKENIZERS = Path(__file__).resolve().parents[2] / "tests" / "text" / "goldens" / "tokenizers"
TOKENIZER = "no-prefix"  # has ChatML's marks and no BOS, as Yi's has
MODEL = dict(vocab_size=460, hidden_size=48, intermediate_size=72, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=1024, tie_word_embeddings=True, initializer_range=0.12)
VARIANTS = {  # settings, tokenizer, template, official tokenisation
    "official_k1": ({}, TOKENIZER, "chatml", True),
    "corrected_k3": ({"context": "k3"}, TOKENIZER, "chatml", False),
    "warmup_chunks": ({"train.warmup_chunks": 2, "train.warmup_steps": None}, TOKENIZER, "chatml", True),
    "own": ({"history": "own"}, TOKENIZER, "chatml", True),
    "bos_official": ({}, "bare", "plain", True),
    "bos_corrected": ({}, "bare", "plain", False),
}


def taught_model(folder: Path, text: GuoFengText, seed: int, steps: int, **settings) -> None:
    """Writes a model that learned the format from other made-up novels, so that it ends sentences and repeats names."""
    model = random_model(seed, **settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, foreach=False, fused=False)
    for step in range(steps):
        record = novel(seed + 1000 + step, 1, 4)[0]
        ids = torch.tensor([text.lesson([], record["inference"])[0]])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(model.eval(), folder)


def make(root: Path, seed: int) -> dict:
    """root/model, root/adapter (PEFT, B = 0), root/novel.train, expected.json: one entry for each variant."""
    for name in ("model", "adapter"):
        shutil.rmtree(root / name, ignore_errors=True)
    texts = {key: GuoFengText(LlamaTokenizer.from_pretrained(TOKENIZERS / key[0]), *key[1:])
             for key in {variant[1:] for variant in VARIANTS.values()}}
    taught_model(root / "model", texts[(TOKENIZER, "chatml", True)], seed, steps=150, **MODEL)
    save_adapter(new_adapter(load_model(root / "model"), seed + 1, rank=4, alpha=16), root / "adapter", "../model")
    records = novel(seed, chunks=3, pairs=4)
    records[1]["inference"][2] = {"zh": records[1]["inference"][2]["zh"], "en": ""}  # nothing to compare with
    for record in records[2:]:
        for context in record["contexts"].values():
            for pair in context:
                if pair["zh"] == records[1]["inference"][2]["zh"]:
                    pair["en"] = ""
    (root / "novel.train").write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    variants = []
    for name, (changes, tokenizer, template, official) in VARIANTS.items():
        model = open_adapter(load_model(root / "model"), root / "adapter")
        chunks = run_novel(model, texts[(tokenizer, template, official)], records, changes)
        answers = [answer for chunk in chunks for who in ("base", "lora") for answer in chunk[who] if answer]
        smallest = min(gap for answer in answers for gap in answer["gaps"])
        moved = max(abs(b["nll"] - l["nll"]) for chunk in chunks for b, l in zip(chunk["base"], chunk["lora"]) if b)
        changed = sum(b["ids"] != l["ids"] for chunk in chunks for b, l in zip(chunk["base"], chunk["lora"]) if b)
        stopped = sum(len(answer["ids"]) < SETTINGS["max_new_tokens"] for answer in answers)
        print(f"{name}: gap {smallest:.1e} moved {moved:.2f} changed {changed} stopped {stopped}/{len(answers)}")
        if smallest < 2e-4 or moved < 0.03 or changed < 2 or (stopped == 0 and tokenizer == TOKENIZER):
            raise ValueError(f"translation {name}: a useless golden")
        for answer in answers:
            answer["smallest_gap"] = min(answer.pop("gaps"))
        variants.append({"name": name, "settings": {**SETTINGS, **changes}, "tokenizer": tokenizer,
                         "template": template,
                         "official": official, "chunks": rounded(chunks)})
    (root / "expected.json").write_text(
        "{\"variants\": [\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in variants) + "\n]}\n",
        encoding="utf-8")
    return {"model": "translation/model", "adapter": "translation/adapter", "rank": 4, "alpha": 16,
            "novel": "translation/novel.train", "tolerance": 1e-4}
