"""Inputs of the live comparison, fresh for each seed: a text, a tokenizer, models and their first adapters."""

import io
import json
import random
from pathlib import Path

import sentencepiece
import torch
from transformers import LlamaTokenizer

from .adapters import new_adapter, save_adapter
from .models import random_model, save_model

BOOK_CHARACTERS = 60_000


def made_up_text(seed: int) -> str:
    """Sentences of made-up words that come back now and then: stands in where no real text is at hand."""
    chance = random.Random(seed)
    words = ["".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(chance.randint(1, 4)))
             for _ in range(300)]
    sentences = [" ".join(chance.choices(words[:60] + words, k=chance.randint(5, 15))).capitalize() + "."
                 for _ in range(200)]
    text = ""
    while len(text) < BOOK_CHARACTERS:
        text += chance.choice(sentences) + chance.choice([" ", " ", "\n"])
    return text


def write_book(path: Path, text: str, seed: int) -> None:
    """A piece of `text` from a place that the seed chooses, with the outer white space that books have."""
    start = random.Random(seed).randrange(max(1, len(text) - BOOK_CHARACTERS))
    path.write_text("\n  " + text[start:start + BOOK_CHARACTERS] + " \n\n", encoding="utf-8", newline="")


def train_tokenizer(folder: Path, text: str) -> LlamaTokenizer:
    """A small BPE tokenizer.model in `folder`; returns transformers' slow tokenizer for it."""
    folder.mkdir(parents=True)
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(text.splitlines()), model_writer=model, model_type="bpe", vocab_size=420,
        byte_fallback=True, character_coverage=0.999, unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        normalization_rule_name="identity", minloglevel=2)
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False, "legacy": False,
        "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "clean_up_tokenization_spaces": False}) + "\n")
    return LlamaTokenizer.from_pretrained(folder, use_fast=False)


def model_and_adapter(folder: Path, seed: int, tokens: torch.Tensor, rank: int, alpha: float, **settings) -> None:
    """folder/model and folder/adapter: weights that learned from a few pieces of the text how often tokens occur."""
    model = random_model(seed, **settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, foreach=False, fused=False)
    places = torch.Generator().manual_seed(seed)
    for _ in range(60):
        starts = torch.randint(0, len(tokens) - 97, (4,), generator=places).tolist()
        ids = torch.stack([tokens[start:start + 96] for start in starts])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(model.eval(), folder / "model")
    save_adapter(new_adapter(model, seed + 1, rank, alpha), folder / "adapter", "../model")
