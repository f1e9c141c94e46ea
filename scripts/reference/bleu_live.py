"""Compares BLEU and chrF with sacreBLEU on fresh random corpora and on every character that has a meaning.

    PYTHONPATH=scripts python -m reference.bleu_live [--corpora 1200] [--seed 1] [--program build/test_metrics]

Writes cases like those of the goldens to a temporary file and lets the tests of the metrics room compare them, by
the same code. Wants sacrebleu 2.6.0 and the built target test_metrics.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from .bleu_cases import bleu_row, case, every_character, random_corpus
from .bleu_goldens import write

ROOT = Path(__file__).resolve().parents[2]
# Planes 4 to 13 hold no characters, 15 and 16 only private ones.
BLOCKS = [(first, first + 8192) for first in range(0, 0x34000, 8192)] + [(0xE0000, 0xE0200), (0x10F000, 0x110000)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpora", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", type=Path, default=ROOT / "build" / "test_metrics")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    cases = [case(i, rng, *random_corpus(rng, 2000 if i % 20 == 0 else 100), 5) for i in range(args.corpora)]
    for first, last in BLOCKS:
        hyp, refs = every_character(first, last)
        if hyp:
            cases.append({"hyp": hyp, "refs": refs, "chrf": [], "bleu": [
                bleu_row(hyp, refs, name, "exp", None, 2, False, name == "none") for name in ("intl", "none", "zh")]})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cases.json"
        write(path, cases)
        done = subprocess.run([args.program, "[parity]"], env={**os.environ, "TEMPLORA_BLEU_CASES": str(path)},
                              check=False)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
