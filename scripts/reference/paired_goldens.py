"""Goldens of the paired tests: corpora of two systems, with the p of sacreBLEU's PairedTest at 10,000 draws."""

import json
import random
from pathlib import Path

import numpy as np
import sacrebleu
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.significance import PairedTest, _compute_p_value

DRAWS, SEED = 10000, 12345
# Segments, and how much of each system's words are other than the reference's.
CORPORA = [(60, 0.30, 0.30), (60, 0.32, 0.22), (40, 0.30, 0.26), (120, 0.40, 0.36), (25, 0.5, 0.2), (30, 0.25, 0.25)]


def mean_tests(first, second):
    """The two p of the difference of means, as of COMET's segments, by the numbers of sacreBLEU's tests."""
    first, second = np.array(first), np.array(second)
    observed = abs(first.mean() - second.mean())
    indices = np.random.default_rng(SEED).choice(len(first), size=(DRAWS, len(first)), replace=True)
    drawn = np.abs(second[indices].mean(1) - first[indices].mean(1))
    chosen = np.random.default_rng(SEED).integers(2, size=(DRAWS, len(first)), dtype=bool)
    a, b = np.where(chosen, first, second).mean(1), np.where(chosen, second, first).mean(1)
    return {"bs": _compute_p_value(drawn - drawn.mean(), observed), "ar": _compute_p_value(np.abs(a - b), observed)}


def corpus(rng, segments, first_noise, second_noise):
    words = [f"{a}{b}" for a in ("ba", "lo", "mi", "ne", "ru", "ta") for b in ("k", "n", "s", "ra", "ve")]

    def noisy(line, share):
        return " ".join(rng.choice(words) if rng.random() < share else word for word in line.split())

    references = [" ".join(rng.choice(words) for _ in range(rng.randint(4, 18))) + "." for _ in range(segments)]
    return references, [[noisy(line, share) for line in references] for share in (first_noise, second_noise)]


def make(root: Path, seed: int) -> dict:
    """root/cases.json: of each corpus `references`, `first`, `second`, `first_comet`, `second_comet`, and of each score
    the corpus scores and the two p: {"bleu": {"first", "second", "bs", "ar"}, "chrf2": …, "comet": …}."""
    if sacrebleu.__version__ != "2.6.0":
        raise SystemExit(f"make_goldens: sacrebleu {sacrebleu.__version__}, wanted 2.6.0")
    rng = random.Random(seed)
    cases = []
    for segments, first_noise, second_noise in CORPORA:
        references, (first, second) = corpus(rng, segments, first_noise, second_noise)
        comet = [[round(rng.gauss(0.75 - noise / 8, 0.05), 6) for _ in references]
                 for noise in (first_noise, second_noise)]
        case = {"references": references, "first": first, "second": second,
                "first_comet": comet[0], "second_comet": comet[1],
                "comet": {"first": float(np.mean(comet[0])), "second": float(np.mean(comet[1])), **mean_tests(*comet)}}
        for kind in ("bs", "ar"):
            metrics = {"bleu": BLEU(references=[references]), "chrf2": CHRF(references=[references])}
            _, results = PairedTest([("first", first), ("second", second)], metrics, None, kind, DRAWS)()
            for score, (a, b) in zip(metrics, [results[name] for name in results if name != "System"]):
                case.setdefault(score, {"first": a.score, "second": b.score})[kind] = b.p_value
        cases.append(case)
    text = json.dumps(cases, separators=(",", ":")).replace('{"references"', '\n{"references"')
    (root / "cases.json").write_text(text + "\n")
    return {"sacrebleu": sacrebleu.__version__, "numpy": np.__version__, "draws": DRAWS, "sacrebleu_seed": SEED}
