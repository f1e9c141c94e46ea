#!/usr/bin/env python3
"""Prints the Python that references and peers run in, with torch, transformers and PEFT.

    python3 scripts/reference_python.py [BUILD_FOLDER]

$TEMPLORA_REF_PYTHON where that is set; else BUILD_FOLDER/reference-venv (build/reference-venv), made on first use
over the torch that templora is built with. Exits 4 with one line where it cannot be made.
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ["transformers==4.57.6", "peft==0.21.2", "sentencepiece==0.2.1", "sacrebleu==2.6.0", "safetensors", "protobuf",
            "numpy"]


def run(command, what):
    """Its output. Exits 4 with the last line that it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        print(f"templora: {what} failed: {said[-1] if said else f'exit code {done.returncode}'}", file=sys.stderr)
        raise SystemExit(4)
    return done.stdout


def make(folder):
    torch = pathlib.Path(run([sys.executable, ROOT / "scripts" / "find_torch.py"], "find_torch.py").splitlines()[0])
    packages = torch.parent
    base = packages.parents[2] / "bin" / "python"  # that environment's own Python, so that versions fit
    run([base if base.exists() else sys.executable, "-m", "venv", "--clear", folder], "python3 -m venv")
    own_packages = next((folder / "lib").glob("python3*/site-packages"))
    (own_packages / "torch-of-templora.pth").write_text(f"{packages}\n", encoding="utf-8")
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES], "pip install")
    (folder / "complete").touch()


def main():
    python = os.environ.get("TEMPLORA_REF_PYTHON")
    if not python:
        build = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build"
        folder = build.resolve() / "reference-venv"
        if not (folder / "complete").exists():
            print(f"templora: installing transformers and PEFT into {folder.name} (once)", file=sys.stderr)
            make(folder)
        python = folder / "bin" / "python"
    print(python)


if __name__ == "__main__":
    main()
