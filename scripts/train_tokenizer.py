#!/usr/bin/env python3
"""Trains the tokenizer of the small shipped model: sentencepiece BPE with LlamaTokenizer's conventions.

    pip install sentencepiece==0.2.1
    python scripts/train_tokenizer.py ../shared/data/pretrain models/small-6m --split configs/pretrain/small.json

The split file is a pretrain config; of its `data` only the file names count: books that match an entry of
`exclude`, or are named in `validation`, are not read. The same books, seed and sample give the same model.

Choices:
- 4,096 pieces. With a hidden size of 256 an embedding of 4,096 rows is 1.0 M parameters, one of 8,192 rows
  2.1 M: of a 6 M-parameter model that is a third of the weights moved out of the layers for fewer tokens.
- Books are sampled as blocks of whole lines, newlines included. The text is hard-wrapped, so one word in
  ten starts a line; it then has no space before it, and only blocks show the trainer such words. The newline
  is an ordinary character: it becomes a piece, and so do runs of newlines and punctuation before one.
- Identity normalisation and byte fallback: decoding gives back the text, byte for byte.
"""

import argparse
import fnmatch
import io
import json
import random
import sys
import time
from pathlib import Path

import sentencepiece

BLOCK_BYTES = 2000  # below sentencepiece's max_sentence_length


def training_books(folder, split):
    """The books of `folder` that the split leaves for training, in the order of their names."""
    data = json.loads(Path(split).read_text())["data"] if split else {}
    held_out = [pattern.rsplit("/", 1)[-1] for pattern in data.get("exclude", []) + data.get("validation", [])]
    books = [path for path in sorted(Path(folder).glob("*.txt"))
             if not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in held_out)]
    if not books:
        sys.exit(f"{folder}: no *.txt left to train on; is it the folder of the books?")
    return books


def blocks(text):
    """Cuts a text into blocks of whole lines, each of at most BLOCK_BYTES (a longer line stands alone)."""
    block, size = [], 0
    for line in text.splitlines(keepends=True):
        line_bytes = len(line.encode())
        if block and size + line_bytes > BLOCK_BYTES:
            yield "".join(block)
            block, size = [], 0
        block.append(line)
        size += line_bytes
    if block:
        yield "".join(block)


def sample(books, sample_bytes, seed):
    """Draws blocks evenly over all books, so that a long book counts for more, up to `sample_bytes`."""
    pool = []
    for path in books:
        text = path.read_bytes().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        pool.extend(blocks(text))
    random.Random(seed).shuffle(pool)
    taken = 0
    for block in pool:
        taken += len(block.encode())
        if taken > sample_bytes:
            return
        yield block


def train(books, vocab_size, sample_bytes, seed, threads):
    """Trains on a sample of the books and returns the serialised sentencepiece model."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=sample(books, sample_bytes, seed), model_writer=model,
        model_type="bpe", vocab_size=vocab_size, byte_fallback=True, character_coverage=0.9999,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
        add_dummy_prefix=True, split_digits=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
        shuffle_input_sentence=False, num_threads=threads, minloglevel=1)
    return model.getvalue()


TOKENIZER_CONFIG = {
    "tokenizer_class": "LlamaTokenizer",
    "add_bos_token": True,
    "add_eos_token": False,
    "legacy": False,
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "pad_token": None,
    "clean_up_tokenization_spaces": False,
    "sp_model_kwargs": {},
    "model_max_length": 512,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("books", help="folder of *.txt, one book a file")
    parser.add_argument("output", help="folder for tokenizer.model and tokenizer_config.json")
    parser.add_argument("--split", help="pretrain config whose data.exclude and data.validation are held back")
    parser.add_argument("--vocab-size", type=int, default=4096)
    parser.add_argument("--sample-mb", type=float, default=30, help="text read by the trainer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--window", type=int, default=512, help="model_max_length written to tokenizer_config.json")
    options = parser.parse_args()

    began = time.monotonic()
    books = training_books(options.books, options.split)
    model = train(books, options.vocab_size, int(options.sample_mb * 1e6), options.seed, options.threads)

    output = Path(options.output)
    output.mkdir(parents=True, exist_ok=True)
    (output / "tokenizer.model").write_bytes(model)
    config = TOKENIZER_CONFIG | {"model_max_length": options.window}
    (output / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{output}: {options.vocab_size} pieces from {len(books)} books in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
