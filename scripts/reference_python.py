#!/usr/bin/env python3
"""Prints the Python that references and peers run in, with torch, transformers and PEFT.

    python3 scripts/reference_python.py [--transformers 4|5] [BUILD_FOLDER]
    python3 scripts/reference_python.py --gguf [BUILD_FOLDER]

$TEMPLORA_REF_PYTHON (for 5: $TEMPLORA_REF_PYTHON_5) where that is set; else BUILD_FOLDER/reference-venv[-5]
(build/reference-venv), made on first use over the torch that templora is built with. Version 4 has the slow
LlamaTokenizer, whose ids a tokenizer.model gives; version 5 is what models are compared with, and opens GGUF files.
--gguf asks for a Python that reads GGUF files and no more: version 5's where that is there, else
BUILD_FOLDER/gguf-venv, which needs no torch. Exits 4 with one line where it cannot be made.
"""

import argparse
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SHARED = ["peft==0.21.2", "sentencepiece==0.2.1", "sacrebleu==2.6.0", "safetensors", "protobuf", "numpy"]
GGUF = ["gguf==0.19.0", "sentencepiece==0.2.1", "protobuf", "numpy"]
PACKAGES = {"4": ["transformers==4.57.6", *SHARED], "5": ["transformers==5.24.0", "gguf==0.19.0", *SHARED]}


def run(command, what):
    """Its output. Exits 4 with the last line that it said where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        print(f"templora: {what} failed: {said[-1] if said else f'exit code {done.returncode}'}", file=sys.stderr)
        raise SystemExit(4)
    return done.stdout


def ensure_venv():
    """Debian keeps what `python3 -m venv` needs in a package of its own."""
    if importlib.util.find_spec("ensurepip"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        run(["apt-get", "install", "-y", "--no-install-recommends", "python3-venv"], "apt-get install python3-venv")
    else:
        print("templora: python3 cannot make environments: install python3-venv, then start again", file=sys.stderr)
        raise SystemExit(4)


def make(folder, packages_wanted, over_torch=True):
    ensure_venv()
    folder.parent.mkdir(parents=True, exist_ok=True)
    base = sys.executable
    if over_torch:
        torch = pathlib.Path(run([sys.executable, ROOT / "scripts" / "find_torch.py"], "find_torch.py").splitlines()[0])
        packages = torch.parent
        own = packages.parents[2] / "bin" / "python"  # that environment's own Python, so that versions fit
        base = own if own.exists() else base
    run([base, "-m", "venv", "--clear", folder], "python3 -m venv")
    if over_torch:
        own_packages = next((folder / "lib").glob("python3*/site-packages"))
        (own_packages / "torch-of-templora.pth").write_text(f"{packages}\n", encoding="utf-8")
    run([folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages_wanted], "pip install")
    (folder / "complete").touch()


def reference_python(version, build):
    suffix = "" if version == "4" else f"-{version}"
    python = os.environ.get("TEMPLORA_REF_PYTHON" + suffix.replace("-", "_"))
    if python:
        return python
    folder = build / f"reference-venv{suffix}"
    if not (folder / "complete").exists():
        print(f"templora: installing transformers {version} and PEFT into {folder.name} (once)", file=sys.stderr)
        make(folder, PACKAGES[version])
    return folder / "bin" / "python"


def gguf_python(build):
    if os.environ.get("TEMPLORA_REF_PYTHON_5") or (build / "reference-venv-5" / "complete").exists():
        return reference_python("5", build)
    folder = build / "gguf-venv"
    if not (folder / "complete").exists():
        print(f"templora: installing gguf into {folder.name} (once)", file=sys.stderr)
        make(folder, GGUF, over_torch=False)
    return folder / "bin" / "python"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transformers", choices=sorted(PACKAGES), default="4")
    parser.add_argument("--gguf", action="store_true", help="only what reads GGUF files")
    parser.add_argument("build", nargs="?", type=pathlib.Path, default=ROOT / "build")
    given = parser.parse_args()
    build = given.build.resolve()
    print(gguf_python(build) if given.gguf else reference_python(given.transformers, build))


if __name__ == "__main__":
    main()
