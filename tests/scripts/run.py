#!/usr/bin/env python3
"""Runs one Python test: run.py BUILD_FOLDER TEST, in a Python that reads GGUF files where there is one already
(scripts/reference_python.py). Nothing is installed; what a Python lacks is skipped by the test.
TEMPLORA_BUILD names the build folder to the test."""

import os
import pathlib
import subprocess
import sys


def main():
    build, test = pathlib.Path(sys.argv[1]), sys.argv[2]
    made = [build / folder / "bin/python" for folder in ("reference-venv-5", "gguf-venv")]
    pythons = [os.environ.get("TEMPLORA_REF_PYTHON_5"), *made]
    python = next((str(python) for python in pythons if python and pathlib.Path(python).exists()), sys.executable)
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TEMPLORA_BUILD": str(build.resolve())}
    return subprocess.run([python, "-W", "ignore", test], check=False, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
