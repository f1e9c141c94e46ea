#!/usr/bin/env python3
"""Makes tests/goldens from transformers, PEFT and torch on small random models.

    python scripts/make_goldens.py [--add] [model] [lora] [loop] [official] [decode] [prompts] [translation] [shipped] \
        [average] [decay] [bleu] [paired] [comet] [families]

Needs transformers 4.57, peft and torch (scripts/parity makes such an environment); `families` is made by transformers
5.24 (scripts/reference_python.py --transformers 5) and only when it is named. All of it runs on one thread in float32
with eager attention. Layouts of the files: docs of each maker in scripts/reference. `bleu`, `paired` and `comet` are
made only when they are named: they also need sacrebleu 2.6.0, and unbabel-comet 2.2.7 (docs/comet.md says how to
install it). `--add loop` makes the variants that are not there yet, over the model that is: its training rounds
differently on another CPU.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

import peft
import torch
import transformers

SEED = 20240121
KINDS = ["model", "lora", "loop", "official", "decode", "prompts", "translation", "shipped", "average", "decay"]
ON_REQUEST = ["bleu", "paired", "comet", "families"]


def main() -> int:
    add = sys.argv[1:2] == ["--add"]
    kinds = sys.argv[1 + add:] or KINDS
    if any(kind not in KINDS + ON_REQUEST for kind in kinds):
        print(f"make_goldens: got {' '.join(kinds)}, wanted any of {' '.join(KINDS + ON_REQUEST)}", file=sys.stderr)
        return 2
    wanted = "5.24." if kinds == ["families"] else "4.57."
    if not transformers.__version__.startswith(wanted):
        print(f"make_goldens: transformers {transformers.__version__}, wanted {wanted}x for {' '.join(kinds)}",
              file=sys.stderr)
        return 2
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parent.parent / "tests" / "goldens"
    for kind in kinds:
        (root / kind).mkdir(parents=True, exist_ok=True)
        more = {"add": True} if add else {}
        made = import_module(f"reference.{kind}_goldens").make(root / kind, SEED, **more)
        index = {"made_by": "scripts/make_goldens.py", "seed": SEED, "torch": torch.__version__.split("+")[0],
                 "transformers": transformers.__version__, "peft": peft.__version__,
                 "attention": "eager", "dtype": "float32", "threads": 1, **made}
        (root / kind / "index.json").write_text(json.dumps(index, indent=1) + "\n")
        size = sum(f.stat().st_size for f in (root / kind).rglob("*") if f.is_file())
        print(f"{root / kind}: {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
