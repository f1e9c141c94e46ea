"""Goldens of BLEU and chrF: random corpora, edge cases and tokenised lines, with sacreBLEU's results."""

import json
import platform
import random
from importlib.metadata import version
from pathlib import Path

import sacrebleu
from sacrebleu.metrics.bleu import _get_tokenizer

from .bleu_cases import EDGE_CORPORA, TOKENIZERS, WORDS, case, random_corpus

CORPORA, LINES = 150, 24


def make(root: Path, seed: int) -> dict:
    """root/cases.json: a list of cases (layout in bleu_cases.py); root/tokens.json: lines and, by tokenizer, their
    words joined by spaces."""
    if sacrebleu.__version__ != "2.6.0":
        raise SystemExit(f"make_goldens: sacrebleu {sacrebleu.__version__}, wanted 2.6.0")
    rng = random.Random(seed)
    cases = [case(i, rng, hyp, refs, 5) for i, (hyp, refs) in enumerate(EDGE_CORPORA)]
    cases += [case(i, rng, *random_corpus(rng, 150), 2) for i in range(CORPORA)]
    write(root / "cases.json", cases)
    words = rng.sample(WORDS, len(WORDS))
    lines = [" ".join(words[i::LINES]) for i in range(LINES)] + ["".join(words[i::LINES]) for i in range(LINES)]
    lines += [" \u3000a\u2009b\n-\nc-\n", "<skipped>x&amp;quot;", ".1,", "1.", "-1", "a.,b", "a,.1,,2"]
    tokens = {name: [" ".join(_get_tokenizer(name)()(line).split()) for line in lines] for name in TOKENIZERS}
    write(root / "tokens.json", {"lines": lines, **tokens})
    return {"sacrebleu": sacrebleu.__version__, "regex": version("regex"), "python": platform.python_version(),
            "corpora": CORPORA, "edge_corpora": len(EDGE_CORPORA)}


def write(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace('{"hyp"', '\n{"hyp"') + "\n")
