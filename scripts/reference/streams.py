"""Token streams and slightly trained models for goldens of the loop."""

from pathlib import Path

import torch

from .models import random_model, save_model


def phrase_stream(count: int, vocab: int, seed: int, phrases: int = 8, noise: float = 0.1) -> torch.Tensor:
    """int64 [count], 1 (BOS) first: phrases of skewed random ids come again and again, with noise. Something that
    an adapter learns as it streams by."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size):
        return 3 + ((vocab - 3) * torch.rand(size, generator=generator, dtype=torch.float64) ** 2.5).long()

    def pick(low, high):
        return int(torch.randint(low, high, (1,), generator=generator))

    book = [draw(pick(5, 14)) for _ in range(phrases)]
    stream, total = [torch.tensor([1])], 1
    while total < count:
        phrase = book[pick(0, phrases)].clone()
        changed = torch.rand(len(phrase), generator=generator) < noise
        phrase[changed] = draw(int(changed.sum()))
        stream.append(phrase)
        total += len(phrase)
    return torch.cat(stream)[:count].contiguous()


def trained_model(folder: Path, seed: int, steps: int, length: int, **settings) -> None:
    """Writes a small model that knows how often ids occur, not this document's phrases: each of its training
    sequences has phrases of its own. Keeps perplexities far below an untrained model's."""
    model = random_model(seed, **settings)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, foreach=False, fused=False)
    for step in range(steps):
        ids = torch.stack([phrase_stream(length, settings["vocab_size"], seed + 7 + 4 * step + i) for i in range(4)])
        loss = model(input_ids=ids, labels=ids).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_model(model.eval(), folder)
