#!/usr/bin/env python3
"""Prints the Python that references and peers run in, with torch, transformers and PEFT.

    python3 scripts/reference_python.py [--transformers 4|5] [BUILD_FOLDER]

$TEMPLORA_REF_PYTHON (for 5: $TEMPLORA_REF_PYTHON_5) where that is set; else BUILD_FOLDER/reference-venv[-5]
(build/reference-venv), made on first use over the torch that templora is built with. Version 4 has the slow
LlamaTokenizer, whose ids a tokenizer.model gives; version 5 is what models are compared with, and opens GGUF files.
Exits 4 with one line where it cannot be made.
"""

import argparse
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ["peft==0.21.2", "sentencepiece==0.2.1", "sacrebleu==2.6.0", "safetensors", "protobuf", "numpy"]
PACKAGES = {"4": ["transformers==4.57.6", *SHARED], "5": ["transformers==5.24.0", "gguf==0.19.0", *SHARED]}


def run(command, what):
    """Its output. Exits 4 with the last line that it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        print(f"templora: {what} failed: {said[-1] if said else f'exit code {done.returncode}'}", file=sys.stderr)
        raise SystemExit(4)
    return done.stdout


def make(folder, packages_wanted):
    torch = pathlib.Path(run([sys.executable, ROOT / "scripts" / "find_torch.py"], "find_torch.py").splitlines()[0])
    packages = torch.parent
    base = packages.parents[2] / "bin" / "python"  # that environment's own Python, so that versions fit
    run([base if base.exists() else sys.executable, "-m", "venv", "--clear", folder], "python3 -m venv")
    own_packages = next((folder / "lib").glob("python3*/site-packages"))
    (own_packages / "torch-of-templora.pth").write_text(f"{packages}\n", encoding="utf-8")
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages_wanted], "pip install")
    (folder / "complete").touch()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transformers", choices=sorted(PACKAGES), default="4")
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=ROOT / "build")
    given = parser.parse_args()
    suffix = "" if given.transformers == "4" else f"-{given.transformers}"
    python = os.environ.get("TEMPLORA_REF_PYTHON" + suffix.replace("-", "_"))
    if not python:
        folder = given.build.resolve() / f"reference-venv{suffix}"
        if not (folder / "complete").exists():
            print(f"templora: installing transformers {given.transformers} and PEFT into {folder.name} (once)", file=sys.stderr)
            make(folder, PACKAGES[given.transformers])
        python = folder / "bin" / "python"
    print(python)


if __name__ == "__main__":
    main()
