#!/usr/bin/env python3
"""Finds LibTorch inside an installed Python package torch, without importing it.

Prints its folder, its version, "cuda" or "cpu", the C++ ABI digit, and then, for a CUDA build, any folder
with headers of the CUDA runtime, one a line. $Torch_DIR or $TORCH_DIR names the one to use; else one built for
CUDA is taken if the machine has an NVIDIA GPU, else the first of .venv and the python3 in use.
Exits 4 with one line if there is none.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys

OLDEST = (2, 11)
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def describe(folder):
    """(folder, version, kind, abi) of a torch package folder, or None if it is none that we can use."""
    try:
        with open(os.path.join(folder, "version.py"), encoding="utf-8") as file:
            version = re.search(r"__version__ = '([^']+)'", file.read()).group(1)
    except (OSError, AttributeError):
        try:  # a plain LibTorch, as it comes without Python
            with open(os.path.join(folder, "build-version"), encoding="utf-8") as file:
                version = file.read().strip()
        except OSError:
            return None
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if not numbers or tuple(map(int, numbers.groups())) < OLDEST:
        return None
    if not os.path.exists(os.path.join(folder, "lib", "libtorch_cpu.so")):
        return None
    kind = "cuda" if os.path.exists(os.path.join(folder, "lib", "libtorch_cuda.so")) else "cpu"
    abi = "1"
    try:
        with open(os.path.join(folder, "share", "cmake", "Torch", "TorchConfig.cmake"), encoding="utf-8") as file:
            found = re.search(r"_GLIBCXX_USE_CXX11_ABI=([01])", file.read())
            abi = found.group(1) if found else "1"
    except OSError:
        pass
    return folder, version, kind, abi


def other_pythons():
    """torch folders of the python3 and python on PATH."""
    for name in ("python3", "python"):
        program = shutil.which(name)
        if not program:
            continue
        code = "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            yield done.stdout.strip()


def cuda_headers(folder):
    """Folders from which <cuda_runtime_api.h> and <crt/host_defines.h> can be included, or []."""
    site = os.path.dirname(folder)
    found = []
    for base in sorted(glob.glob(os.path.join(site, "nvidia", "*", "include"))) + ["/usr/local/cuda/include"]:
        if os.path.exists(os.path.join(base, "cuda_runtime_api.h")) or os.path.isdir(os.path.join(base, "crt")):
            found.append(base)
    runtime = any(os.path.exists(os.path.join(base, "cuda_runtime_api.h")) for base in found)
    crt = any(os.path.exists(os.path.join(base, "crt", "host_defines.h")) for base in found)
    return found if runtime and crt else []


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", help="the one folder to use")
    given = parser.parse_args().dir or os.environ.get("Torch_DIR") or os.environ.get("TORCH_DIR")
    if given:
        given = os.path.realpath(given)
        given = re.sub(r"/share/cmake(/Torch)?$", "", given)
        found = describe(given) or describe(os.path.join(given, "torch"))
        if not found:
            sys.stderr.write("Torch_DIR: %s holds no torch of version %d.%d or newer\n" % (given, *OLDEST))
            return 4
        candidates = [found]
    else:
        folders = sorted(glob.glob(os.path.join(REPOSITORY, ".venv/lib/python3*/site-packages/torch")))
        if not any(map(describe, folders)) or os.path.exists("/dev/nvidiactl"):
            folders += other_pythons()
        candidates = [found for found in map(describe, folders) if found]
        if os.path.exists("/dev/nvidiactl"):
            candidates.sort(key=lambda found: found[2] != "cuda")  # stable: keeps the order otherwise
    if not candidates:
        sys.stderr.write("torch %d.%d or newer: not found; scripts/templora installs it, or set Torch_DIR\n" % OLDEST)
        return 4
    headers = cuda_headers(candidates[0][0]) if candidates[0][2] == "cuda" else []
    print("\n".join([*candidates[0], *headers]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
