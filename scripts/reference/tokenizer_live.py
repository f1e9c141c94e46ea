"""Compares `templora tokenize` with Hugging Face's tokenizers on whole texts. Started by scripts/tokenizer-parity.

Tokenizers: one of each family of tests/text/make_json_goldens.py, trained here with 8,000 pieces on the texts, and the
folders that are named. Texts: English, Chinese, code, mixed scripts and emoji, broken spacing; of each as many MB as
asked for. The two sides are timed by their processor time on one thread; of ours, that of starting is taken off.
"""

import argparse
import json
import os
import pathlib
import random
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "text"))

import make_json_goldens as goldens  # noqa: E402
import transformers  # noqa: E402

PIECE = 60_000  # characters of a text that is compared at once


def read(paths, most):
    """The files' texts, one after the other, up to `most` bytes."""
    parts, size = [], 0
    for path in paths:
        if size >= most:
            break
        text = path.read_text(encoding="utf-8", errors="ignore").replace("\0", "")
        parts.append(text)
        size += len(text.encode())
    return "".join(parts)


def chinese(folder, most):
    parts, size = [], 0
    for path in sorted(folder.glob("*.train")):
        for record in json.loads(path.read_text(encoding="utf-8")):
            for pair in record["inference"]:
                parts.append(pair["zh"])
                size += len(pair["zh"].encode())
        if size >= most:
            break
    text = "\n".join(parts)
    return text * (1 + most // max(1, len(text.encode())))


def scripts(most, rng):
    """Letters of all planes, runs of one script, marks, emoji with joiners, and the odd fragments of the goldens."""
    letters = [chr(c) for c in range(0x20, 0x110000) if not 0xD800 <= c < 0xE000]
    blocks = [
        (0x400, 0x500),
        (0x600, 0x700),
        (0x900, 0x980),
        (0x4E00, 0x9FFF),
        (0xAC00, 0xD7A3),
        (0x1F300, 0x1FAFF),
        (0x300, 0x370),
    ]
    emoji = [
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "\U0001f1e9\U0001f1ea",
        "\u2764\ufe0f",
        "\U0001f44d\U0001f3fd",
    ]
    parts, size = [], 0
    while size < most:
        first, last = rng.choice(blocks)
        part = rng.choice(
            (
                lambda: "".join(chr(rng.randrange(first, last)) for _ in range(rng.randint(1, 12))),
                lambda: rng.choice(letters),
                lambda: rng.choice(goldens.base.FRAGMENTS),
                lambda: rng.choice(emoji),
                lambda: " ",
            )
        )()
        parts.append(part)
        size += len(part.encode())
    return "".join(parts).replace("\0", "")


def broken(text, rng):
    """A text whose spaces are doubled, lost, made tabs, line ends and other spaces."""
    spaces = [
        "",
        "  ",
        "   ",
        "\t",
        "\n",
        " \n",
        "\r\n",
        "\u00a0",
        "\u3000",
        " \t ",
        "\n\n\n",
        "\u2009",
        "\u180e",
        "\x1c",
    ]
    words = text.split(" ")
    return "".join(word + (rng.choice(spaces) if rng.random() < 0.4 else " ") for word in words).replace("\0", "")


def texts(data, megabytes):
    most, rng = int(megabytes * 1e6), random.Random(5)
    english = read(sorted((data / "pg19").glob("*.txt")), most)
    libraries = [pathlib.Path(sysconfig.get_paths()["stdlib"]), pathlib.Path(transformers.__file__).parent]
    code = read([p for folder in libraries for p in sorted(folder.rglob("*.py"))], most)
    kinds = {
        "English": english,
        "Chinese": chinese(data / "guofeng", most),
        "code": code,
        "mixed scripts": scripts(most, rng),
        "broken spacing": broken(english[: most // 2] + code[: most // 2], rng),
    }
    return {
        kind: [text[i : i + PIECE] for i in range(0, len(text.encode()[:most].decode(errors="ignore")), PIECE)]
        for kind, text in kinds.items()
    }


def own_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(program, folder, kinds, files, empty):
    reference = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    command = [program, "tokenize", "--model", str(folder)]
    start = own_seconds([*command, str(empty)])
    different = 0
    for kind, pieces in kinds.items():
        names = [str(file) for file in files[kind]]
        ours = subprocess.run([*command, "--ids", *names], check=True, capture_output=True).stdout.splitlines()
        seconds = own_seconds([*command, *names]) - start
        began, wrong, first = time.process_time(), 0, None
        theirs = [reference(piece)["input_ids"] for piece in pieces]
        peer = time.process_time() - began
        for piece, line, wanted in zip(pieces, ours, theirs, strict=True):
            got = json.loads(line)
            if got != wanted:
                wrong += 1
                place = next((i for i, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
                first = first or (
                    reference.convert_ids_to_tokens(got[place : place + 8]),
                    reference.convert_ids_to_tokens(wanted[place : place + 8]),
                )
        megabytes = sum(len(piece.encode()) for piece in pieces) / 1e6
        print(
            f"| {folder.name} | {kind} | {megabytes:.1f} | {sum(map(len, theirs)):,} | {wrong} of {len(pieces)} | "
            f"{megabytes / seconds:.1f} "
            f"| {megabytes / peer:.1f} |" + (f" {first}" if first else ""),
            flush=True,
        )
        different += wrong
    return different


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", type=pathlib.Path, required=True)
    parser.add_argument(
        "--data", type=pathlib.Path, default=ROOT.parent / "shared" / "data", help="folder with pg19 and guofeng"
    )
    parser.add_argument("--megabytes", type=float, default=10, help="of each kind of text")
    parser.add_argument("--families", help="comma-separated names; default: all")
    parser.add_argument("folders", nargs="*", type=pathlib.Path, help="folders with a tokenizer.json")
    given = parser.parse_args()
    kinds = texts(given.data, given.megabytes)
    wanted = given.families.split(",") if given.families is not None else None
    different = 0
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        files = {}
        for kind, pieces in kinds.items():
            files[kind] = [scratch / f"{kind.replace(' ', '-')}-{i}.txt" for i in range(len(pieces))]
            for file, piece in zip(files[kind], pieces, strict=True):
                file.write_bytes(piece.encode())
        (scratch / "empty.txt").touch()
        goldens.VOCABULARY = 8000
        lines = [line for pieces in kinds.values() for piece in pieces[:12] for line in piece.splitlines()]
        goldens.corpus = lambda: lines
        print(
            "| tokenizer | text | MB | tokens | different pieces | templora MB/s | tokenizers MB/s |\n| --- | --- | "
            "---: | ---: | ---: | ---: | ---: |"
        )
        if wanted != [""]:
            for family, tokenizer, config, _, _, change in goldens.families():
                if wanted and family not in wanted:
                    continue
                goldens.write_family(scratch / family, tokenizer, config, change)
                different += compare(given.program, scratch / family, kinds, files, scratch / "empty.txt")
        for folder in given.folders:
            different += compare(given.program, folder.resolve(), kinds, files, scratch / "empty.txt")
    print(f"{different} different pieces")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
