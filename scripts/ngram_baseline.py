#!/usr/bin/env python3
"""Bits per byte that a language model should beat: `xz -9`, and an n-gram model over the same tokens.

    pip install numpy sentencepiece==0.2.1
    python scripts/ngram_baseline.py ../shared/data/pretrain models/small-6m --split configs/pretrain/small.json

The n-gram model is interpolated modified Kneser-Ney (Chen & Goodman 1998, TR-10-98, section 3), with three
discounts an order estimated from the counts, trained on every token of the training books: no pruning, no
subsample. It is static: it learns nothing from the book it scores, as the base model does not.

An n-gram is one 64-bit key, the oldest token in the highest bits. In a sorted array of keys the n-grams of
one context lie side by side, and the next lower order is the same keys without their highest token.
Five-grams over 4,096 pieces take 60 of the 64 bits. 41 M tokens: 2.6 GB, two and a half minutes of one core.
"""

import argparse
import json
import lzma
import math
import sys
import time
from pathlib import Path

import numpy as np
import sentencepiece

from train_tokenizer import training_books


def read_text(path):
    """A book as the pretrain experiment reads it: newlines only, outer white space cut."""
    return path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n").strip()


def ngram_keys(tokens, order, token_bits, bos):
    """Keys of all n-grams that end in a real token. Each book starts with order - 1 BOS, which no n-gram ends in."""
    count = len(tokens) - order + 1
    keys = np.zeros(count, np.uint64)
    for position in range(order):
        keys <<= np.uint64(token_bits)
        keys |= tokens[position:position + count].astype(np.uint64)
    return keys[tokens[order - 1:] != bos]


def estimate_discounts(counts):
    """What is taken off a count of 0, 1, 2, 3 or more: Chen & Goodman's equation 26. Nearly every single piece
    occurs often, so the lowest order can lack the rare ones the estimate needs; there it is half of the count."""
    of = [np.count_nonzero(counts == value) for value in (1, 2, 3, 4)]
    if all(of):
        base = of[0] / (of[0] + 2 * of[1])
        discounts = np.array([0.0] + [n - (n + 1) * base * of[n] / of[n - 1] for n in (1, 2, 3)])
        if (discounts >= 0).all():
            return discounts
    return np.array([0.0, 0.5, 1.0, 1.5])


class Level:
    """The distribution of one order: discounted counts of its n-grams and the back-off weight of each context."""

    def __init__(self, keys, counts, token_bits):
        """keys: sorted and distinct; counts: their counts (below the highest order: of distinct left neighbours)."""
        self.token_bits = np.uint64(token_bits)
        self.discounts = estimate_discounts(counts)
        contexts = keys >> self.token_bits
        starts = np.flatnonzero(np.concatenate(([True], contexts[1:] != contexts[:-1])))
        self.contexts = contexts[starts]
        del contexts
        self.totals = np.add.reduceat(counts, starts, dtype=np.int64)
        removed = np.add.reduceat(self.discounts[np.minimum(counts, 3)], starts)
        self.back_off = (removed / self.totals).astype(np.float32)
        self.keys, self.counts = keys, counts

    def mix(self, keys, lower):
        """Probabilities of these n-grams, given those of the order below for the same tokens."""
        at, known = find(self.contexts, keys >> self.token_bits)
        ngram_at, ngram_known = find(self.keys, keys)
        counts = np.where(ngram_known, self.counts[ngram_at], 0)
        here = (counts - self.discounts[np.minimum(counts, 3)]) / self.totals[at]
        return np.where(known, here + self.back_off[at] * lower, lower)


def find(sorted_keys, wanted):
    """Places of `wanted` in `sorted_keys`, and whether each is there (its place is 0 where it is not)."""
    at = np.searchsorted(sorted_keys, wanted)
    at[at == len(sorted_keys)] = 0
    known = sorted_keys[at] == wanted
    return np.where(known, at, 0), known


def train(tokens, order, token_bits, bos):
    """Levels of orders 1 to `order`."""
    keys, counts = np.unique(ngram_keys(tokens, order, token_bits, bos), return_counts=True)
    levels = [Level(keys, counts.astype(np.int32), token_bits)]
    for lower in range(order - 1, 0, -1):
        keys, counts = np.unique(keys & np.uint64((1 << lower * token_bits) - 1), return_counts=True)
        levels.insert(0, Level(keys, counts.astype(np.int32), token_bits))
    return levels


def bits(levels, tokens, token_bits, bos, vocab):
    """Total code length of a book's tokens (with its leading BOS padding) in bits."""
    keys = ngram_keys(tokens, len(levels), token_bits, bos)
    probability = np.full(len(keys), 1.0 / vocab)
    for order, level in enumerate(levels, 1):
        probability = level.mix(keys & np.uint64((1 << order * token_bits) - 1), probability)
    return float(-np.log2(probability).sum())


def check_sums(levels, token_bits, vocab, tokens):
    """The probabilities of all tokens after a few contexts of the text must sum to 1 (BOS is never predicted,
    but keeps its uniform share)."""
    order = len(levels)
    for start in np.linspace(order, len(tokens) - order, 5).astype(int):
        context = 0
        for token in tokens[start:start + order - 1]:
            context = context << token_bits | int(token)
        keys = np.uint64(context << token_bits) | np.arange(vocab, dtype=np.uint64)
        probability = np.full(vocab, 1.0 / vocab)
        for n, level in enumerate(levels, 1):
            probability = level.mix(keys & np.uint64((1 << n * token_bits) - 1), probability)
        if not math.isclose(probability.sum(), 1, rel_tol=1e-4):
            sys.exit(f"probabilities sum to {probability.sum()}, wanted 1: a bug in this script")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("books", help="folder of *.txt, one book a file")
    parser.add_argument("tokenizer", help="folder with tokenizer.model")
    parser.add_argument("--split", required=True, help="pretrain config: data.exclude, data.validation")
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument("--max-tokens", type=int, default=0, help="stop reading training books here; 0 reads all")
    options = parser.parse_args()

    began = time.monotonic()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(Path(options.tokenizer) / "tokenizer.model"))
    vocab, bos = processor.vocab_size(), processor.bos_id()
    token_bits = (vocab - 1).bit_length()
    if token_bits * options.order > 64:
        sys.exit(f"--order {options.order} with {vocab} pieces needs {token_bits * options.order} bits, at most 64 fit")

    def encode(text):
        return np.array([bos] * (options.order - 1) + processor.encode(text), np.uint16)

    books, read = [], 0
    for path in training_books(options.books, options.split):
        books.append(encode(read_text(path)))
        read += len(books[-1])
        if 0 < options.max_tokens <= read:
            break
    print(f"{len(books)} training books, {read} tokens, {time.monotonic() - began:.0f} s", flush=True)
    tokens = np.concatenate(books)
    levels = train(tokens, options.order, token_bits, bos)
    check_sums(levels, token_bits, vocab, tokens)
    for order, level in enumerate(levels, 1):
        discounts = ", ".join(f"{discount:.3f}" for discount in level.discounts[1:])
        print(f"order {order}: {len(level.keys)} n-grams, discounts {discounts}")

    validation = json.loads(Path(options.split).read_text())["data"]["validation"]
    names = [entry.rsplit("/", 1)[-1] for entry in validation]
    print(f"\n| book | bytes | tokens | xz -9, bits/byte | {options.order}-gram, bits/byte |\n| --- | ---: | ---: | "
          "---: | ---: |")
    sums = np.zeros(4)
    for name in names:
        text = read_text(Path(options.books) / name)
        book = encode(text)
        data = text.encode()
        row = np.array([len(data), len(book) - options.order + 1, 8 * len(lzma.compress(data, preset=9)),
                        bits(levels, book, token_bits, bos, vocab)])
        sums += row
        print(f"| {name} | {row[0]:.0f} | {row[1]:.0f} | {row[2] / row[0]:.4f} | {row[3] / row[0]:.4f} |", flush=True)
    print(f"| all | {sums[0]:.0f} | {sums[1]:.0f} | {sums[2] / sums[0]:.4f} | {sums[3] / sums[0]:.4f} |")
    together = b"".join(read_text(Path(options.books) / name).encode() for name in names)
    print(f"\nxz -9 of all as one file: {8 * len(lzma.compress(together, preset=9)) / len(together):.4f} bits/byte; "
          f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
