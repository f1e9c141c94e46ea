"""Runs templora and the reference loop on the same fresh inputs and compares every chunk.

Called by scripts/parity, which finds or makes the environment. Exit codes: 0 all within tolerance, 1 not, 2 usage.
"""

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers

from .adapter_check import check_adapter
from .adapters import open_adapter
from .live_inputs import made_up_text, model_and_adapter, train_tokenizer, write_book
from .models import load_model
from .released import run_released
from .temp_lora import DEFAULTS, run_loop

ROOT = Path(__file__).resolve().parents[2]
NLL_TOLERANCE, PPL_TOLERANCE = 1e-4, 1e-3
TOKEN_TOLERANCE = 1e-2  # of single tokens and losses: more than rounding moves them, less than a wrong row would
RANK, ALPHA = 4, 16
SMALL = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=1024, initializer_range=0.12)
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}

# name: tokens of the book, changes of the config, settings of the model
CASES = {
    "plain": (250, {}, {}),
    "contexts": (250, {"window.context_tokens": 16, "train.warmup_steps": None, "train.warmup_chunks": 3},
                 dict(rope_scaling=LLAMA3, rope_theta=500000.0, tie_word_embeddings=True)),
    "lag": (240, {"train.lag_chunks": 1, "window.first_chunk_tokens": 9, "train.weight_decay": 0.01},
            dict(rope_scaling=YARN, head_dim=24, attention_bias=True)),
    # Right after a reset Adam's update is almost the gradient's sign, rounding noise included: a smaller rate.
    "reset": (240, {"train.moments": "reset", "window.context_tokens": 0, "train.epochs": 3,
                    "train.learning_rate": 2e-3}, dict(mlp_bias=True)),
    "official": (3300, {"window.chunk_tokens": 512, "train.prefix_tokens": 512, "train.learning_rate": 8e-3}, {}),
}


def nested(flat: dict) -> dict:
    """{"a.b": 1} as {"a": {"b": 1}}, without nulls."""
    result: dict = {}
    for key, value in flat.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (result.setdefault(section, {}) if section else result)[name] = value
    return result


def run_templora(program: Path, folder: Path, config: dict) -> dict:
    """Runs templora in `folder`; returns what it wrote: chunks, per-token NLLs by scorer, summary."""
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    done = subprocess.run([program, "run", folder / "config.json", "--out", folder / "run"], capture_output=True,
                          text=True, check=False)
    if done.returncode:
        raise SystemExit(f"parity: {program.name} run {folder / 'config.json'} ended with {done.returncode}: "
                         f"{done.stderr.strip().splitlines()[-1:]}")
    chunks = [json.loads(line) for line in (folder / "run" / "chunks.jsonl").read_text().splitlines()]
    nll = {}
    for scorer in ("base", "lora"):
        raw = (folder / "run" / "nll" / f"0-{scorer}.f32").read_bytes()
        nll[scorer] = struct.unpack(f"<{len(raw) // 4}f", raw)
    return {"chunks": chunks, "nll": nll, "summary": json.loads((folder / "run" / "summary.json").read_text())}


def value_of(tree, key: str):
    """The first value under `key` anywhere in nested objects, or None."""
    if isinstance(tree, list):
        tree = dict(enumerate(tree))
    if not isinstance(tree, dict):
        return None
    if isinstance(tree.get(key), (int, float)):
        return tree[key]
    return next((found for found in (value_of(item, key) for item in tree.values()) if found is not None), None)


def worst(ours, reference) -> float:
    """Largest difference of two equally long lists of numbers; a wrong length or a null is infinitely far."""
    if len(ours) != len(reference) or any(value is None for value in ours):
        return float("inf")
    return max((abs(a - b) for a, b in zip(ours, reference)), default=0.0)


def compare(name: str, ours: dict, reference: list[dict], rounding: float, printed: dict | None) -> bool:
    """Prints one line of largest differences; True if all are within tolerance."""
    chunks = ours["chunks"]
    apart = {key: worst([c[key] for c in chunks], [r[key] for r in reference]) for key in ("base_nll", "lora_nll")}
    layout = all(worst([c[key] for c in chunks], [r[key] for r in reference]) == 0
                 for key in ("first_token", "tokens") + (() if printed else ("scored_tokens", "adapter_version")))
    losses = worst([loss for c in chunks for loss in c["train_loss"]],
                   [loss for r in reference for loss in r["train_loss"]])
    moved = max(abs(r["lora_nll"] - r["base_nll"]) for r in reference)
    good = layout and max(apart.values()) <= NLL_TOLERANCE and losses < TOKEN_TOLERANCE
    line = (f"{name:10} {len(reference):3} chunks  base {apart['base_nll']:.1e}  lora {apart['lora_nll']:.1e}  "
            f"train loss {losses:.1e}  (reference's own rounding {rounding:.1e}, NLL moved by {moved:.2f})")
    if printed:
        ppl = {key: value_of(ours["summary"], f"official_{key}") for key in ("base", "lora")}
        ppl_apart = worst(list(ppl.values()), [printed["base_ppl"], printed["lora_ppl"]])
        good = good and ppl_apart <= PPL_TOLERANCE
        line += f"  printed PPL {printed['base_ppl']:.4f} / {printed['lora_ppl']:.4f}, apart {ppl_apart:.1e}"
    else:
        tokens = max(worst(ours["nll"][scorer], [nll for r in reference for nll in r[f"{scorer}_token_nll"]])
                     for scorer in ("base", "lora"))
        good = good and tokens < TOKEN_TOLERANCE
        line += f"  per token {tokens:.1e}"
    verdict = ("CHUNKS CUT OR VERSIONED DIFFERENTLY" if not layout else "TOO FAR" if not good
               else "ok" if moved >= 0.05 else "PROVES NOTHING: the adapter moved too little; take another seed")
    print(f"{line}  {verdict}", flush=True)
    return verdict == "ok"


def run_case(program: Path, folder: Path, name: str, text: str, seed: int) -> bool:
    count, changes, model_settings = CASES[name]
    official = name == "official"
    tokenizer = train_tokenizer(folder / "tokenizer", text)
    write_book(folder / "book.txt", text, seed)
    with open(folder / "book.txt", encoding="utf-8") as file:
        tokens = torch.tensor(tokenizer.encode(file.read().strip()))
    model_and_adapter(folder, seed, tokens, RANK, ALPHA, vocab_size=len(tokenizer), **{**SMALL, **model_settings})

    keys = changes if official else {**DEFAULTS, **changes}
    config = nested({
        "experiment": "perplexity", "seed": seed, "fidelity": "official" if official else "corrected",
        "model.path": "model", "model.tokenizer": "tokenizer", "model.dtype": "float32", "model.device": "cpu",
        "data.books": ["book.txt"], "data.max_tokens": count, "lora.rank": RANK, "lora.alpha": ALPHA,
        "lora.dropout": 0.0, "lora.init_from": "adapter", "run.threads": 1, **keys})
    ours = run_templora(program, folder, config)

    results = []
    for dtype in (torch.float32, torch.float64):
        model = open_adapter(load_model(folder / "model", dtype), folder / "adapter")
        if official:
            results.append(run_released(model, tokens[:count], changes["window.chunk_tokens"],
                                        changes["train.prefix_tokens"], changes["train.learning_rate"]))
        else:
            results.append({"chunks": [result.record() for result in run_loop(model, tokens[:count], changes)]})
    single, double = results
    rounding = worst([c["lora_nll"] for c in single["chunks"]], [c["lora_nll"] for c in double["chunks"]])
    return compare(name, ours, single["chunks"], rounding, single if official else None)


def main() -> int:
    parser = argparse.ArgumentParser(prog="parity", description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {' '.join(CASES)}; default: all")
    parser.add_argument("--seed", type=int, default=1, help="of models, adapters and the place in the text")
    parser.add_argument("--templora", type=Path, default=ROOT / "build" / "templora", help="the program")
    parser.add_argument("--text", type=Path, help="UTF-8 text; default: build/data/kjv.txt, else made-up sentences")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave inputs and run folders there")
    parser.add_argument("--adapter", type=Path, metavar="DIR", help="only open this adapter folder with PEFT …")
    parser.add_argument("--model", type=Path, metavar="DIR", help="… on this model folder")
    args = parser.parse_args()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    if args.adapter or args.model:
        if not (args.adapter and args.model):
            parser.error("--adapter and --model belong together")
        return 0 if check_adapter(args.adapter, args.model) else 1
    unknown = [case for case in args.cases if case not in CASES]
    if unknown:
        parser.error(f"no case {unknown[0]}; there are {' '.join(CASES)}")
    if not args.templora.exists():
        parser.error(f"{args.templora}: not built; run scripts/test or name it with --templora")
    if args.keep and args.keep.exists() and any(args.keep.iterdir()):
        parser.error(f"{args.keep}: not empty; name a new folder")
    kjv = ROOT / "build" / "data" / "kjv.txt"
    source = args.text or (kjv if kjv.exists() else None)
    text = source.read_text(encoding="utf-8") if source else made_up_text(args.seed)
    print(f"seed {args.seed}, torch {torch.__version__}, transformers {transformers.__version__}, "
          f"text: {source.name if source else 'made up'}; tolerance of a chunk's mean NLL {NLL_TOLERANCE}")
    with tempfile.TemporaryDirectory() as temporary:
        base = (args.keep or Path(temporary)).absolute()
        good = [run_case(args.templora.absolute(), base / name, name, text, args.seed) for name in args.cases or CASES]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
