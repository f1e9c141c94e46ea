"""Runs templora and the reference loop of transformers 5 and PEFT on a model folder and a book, and compares every
chunk.

Called by scripts/parity --book, which finds or makes the environment. Everything in float32. Token by token the base
model's NLLs are compared too: they are its logits at the tokens of the book. Exit codes: 0 all within tolerance, 1 not,
2 usage.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from transformers import AutoTokenizer

from .adapters import ALL_TARGETS, new_adapter, open_adapter, save_adapter
from .live import NLL_TOLERANCE, ROOT, compare, nested, run_templora
from .models import load_model
from .temp_lora import DEFAULTS, run_loop

TARGETS = {"phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}
RANK, ALPHA = 8, 16


def main() -> int:
    parser = argparse.ArgumentParser(prog="parity", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="a Hugging Face folder")
    parser.add_argument("--book", type=Path, required=True, metavar="FILE", help="UTF-8 text")
    parser.add_argument("--chunks", type=int, default=10)
    parser.add_argument("--chunk-tokens", type=int, default=128)
    parser.add_argument("--context-tokens", type=int, default=128, help="of scoring and of training")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--templora", type=Path, default=ROOT / "build" / "templora", help="the program")
    args = parser.parse_args()
    if not args.templora.exists():
        parser.error(f"{args.templora}: not built; run scripts/test or name it with --templora")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(args.threads)
    count = args.chunks * args.chunk_tokens
    ids = AutoTokenizer.from_pretrained(args.model)(args.book.read_text(encoding="utf-8").strip())["input_ids"][:count]
    settings = {**DEFAULTS, "window.chunk_tokens": args.chunk_tokens, "window.first_chunk_tokens": args.chunk_tokens,
                "window.context_tokens": args.context_tokens, "train.prefix_tokens": args.context_tokens,
                "train.learning_rate": args.learning_rate}
    print(f"{args.model.name}, {args.book.name}: {len(ids)} tokens, torch {torch.__version__}, transformers "
          f"{transformers.__version__}, {args.threads} threads; tolerance of a chunk's mean NLL {NLL_TOLERANCE}",
          flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        model = load_model(args.model)
        targets = TARGETS.get(model.config.model_type, ALL_TARGETS)
        save_adapter(new_adapter(model, 1, RANK, ALPHA, targets), folder / "adapter", str(args.model.absolute()))
        config = nested({
            "experiment": "perplexity", "seed": 1, "model.path": str(args.model.absolute()), "model.dtype": "float32",
            "model.device": "cpu", "data.books": [str(args.book.absolute())], "data.max_tokens": count,
            "lora.rank": RANK,
            "lora.alpha": ALPHA, "lora.dropout": 0.0, "lora.targets": targets,
            "lora.init_from": str(folder / "adapter"),
            "run.threads": args.threads, **settings})
        started = time.monotonic()
        ours = run_templora(args.templora.absolute(), folder, config)
        between = time.monotonic()
        reference = [result.record() for result in run_loop(open_adapter(load_model(args.model), folder / "adapter"),
                                                            torch.tensor(ids), settings)]
        print(f"templora {between - started:.0f} s, reference {time.monotonic() - between:.0f} s")
    return 0 if compare(args.model.name, ours, reference, float("nan"), None) else 1


if __name__ == "__main__":
    sys.exit(main())
