#!/usr/bin/env python3
"""Finds LibTorch inside an installed Python package torch, without importing it.

Prints its folder, its version, "cuda" or "cpu", the C++ ABI digit, and then, for a CUDA build, the CUDA runtime's
library and the folders with its headers, one a line. Without either of them it says on standard error what is missing:
what is built then captures no CUDA graphs. $Torch_DIR or $TORCH_DIR names the torch to use; else one built for CUDA is
taken if the machine has an NVIDIA GPU, else the first of .venv and the python3 in use.
Exits 4 with one line if there is none.
"""

import argparse
import glob
import mmap
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
        code = ("import importlib.util as u; s = u.find_spec('torch'); "
                "print(s.submodule_search_locations[0] if s else '')")
        done = subprocess.run([program, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0 and done.stdout.strip():
            yield done.stdout.strip()


def runtime_needed(folder):
    """The file name of the CUDA runtime that this LibTorch was linked with ("libcudart.so.13"), or None. Linking
    another one would put two runtimes into the process."""
    for name in ("libc10_cuda.so", "libtorch_cuda.so"):
        try:
            with open(os.path.join(folder, "lib", name), "rb") as file, \
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:  # libtorch_cuda.so has over a GB
                found = re.search(rb"\0(libcudart[\w-]*\.so[.\d]*)\0", content)
                found = found and found.group(1).decode()
        except (OSError, ValueError):  # ValueError: an empty file
            continue
        if found:
            return found
    return None


def cuda_bases(folder):
    """Folders that may hold lib/ and include/ of the CUDA runtime: beside torch's wheel, in its environment, or a
    toolkit: $CUDA_HOME, $CUDA_PATH or /usr/local/cuda."""
    site = os.path.dirname(folder)
    prefix = os.path.abspath(os.path.join(site, "..", "..", ".."))
    toolkit = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH") or "/usr/local/cuda"
    beside = sorted(glob.glob(os.path.join(site, "nvidia", "*")))
    return [*beside, prefix, *sorted(glob.glob(os.path.join(prefix, "targets", "*"))), toolkit]


def header_version(path):
    """13 for a cuda_runtime_api.h of CUDA 13.x, or None."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(r"#define\s+CUDART_VERSION\s+(\d+)", file.read())
    except OSError:
        return None
    return int(found.group(1)) // 1000 if found else None


def cuda_runtime(folder):
    """(library, header folders, what is missing): the runtime that this LibTorch needs and the headers of its version,
    <cuda_runtime_api.h> and <crt/host_defines.h>. Without all of them: (None, [], the reason)."""
    needed = runtime_needed(folder)
    if not needed:
        return None, [], "its CUDA libraries name no libcudart"
    bases = cuda_bases(folder)
    places = [os.path.join(folder, "lib"), *(os.path.join(base, part) for base in bases for part in ("lib", "lib64"))]
    library = next(filter(os.path.exists, (os.path.join(place, needed) for place in places)), None)
    if not library:
        return None, [], "%s is not found beside it, in its environment or in %s" % (needed, bases[-1])
    version = re.search(r"\.so\.(\d+)", needed)
    version = int(version.group(1)) if version else None
    runtime = crt = None
    others = set()
    for base in bases:
        include = os.path.join(base, "include")
        found = header_version(os.path.join(include, "cuda_runtime_api.h"))
        if found is not None and version is not None and found != version:
            others.add(found)
            continue
        runtime = runtime or (include if found is not None else None)
        crt = crt or (include if os.path.exists(os.path.join(include, "crt", "host_defines.h")) else None)
    if not runtime or not crt:
        beside = "; those of CUDA %s do not fit" % ", ".join(map(str, sorted(others))) if others and not runtime else ""
        return None, [], ("the headers of %s are not found%s (the packages nvidia-cuda-runtime and nvidia-cuda-crt "
                          "have them)" % (needed, beside))
    return library, [runtime] if runtime == crt else [runtime, crt], None


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
    lines = list(candidates[0])
    if lines[2] == "cuda":
        library, headers, missing = cuda_runtime(lines[0])
        if library:
            lines += [library, *headers]
        else:
            sys.stderr.write("no CUDA graphs: %s: %s\n" % (lines[0], missing))
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
