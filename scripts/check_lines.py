#!/usr/bin/env python3
"""Checks that no line of C++, Python, CMake or shell has more than 120 characters (of UTF-8, not bytes), and that the
#include lines of a block stand in order.

Looked at is what git tracks, or, without git, what lies in the source folders. Goldens and files that say in their
first lines that a script made them are left out. Prints one line per finding. `check_lines.py FOLDER` checks another
tree.
"""

import os
import pathlib
import re
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
LONGEST = 120
ENDINGS = (".cpp", ".h", ".py", ".cmake", ".sh")
FOLDERS = (".ci", "cmake", "examples", "experiments", "libtemplora", "scripts", "tests")
GENERATED = re.compile(r"^(//|#) Made by scripts/", re.MULTILINE)


def files(root):
    """Paths below `root`, relative to it, that may be source."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        return sorted(path for path in done.stdout.split("\0") if path and (root / path).is_file())
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*") if path.is_file()]
    return sorted(str(path.relative_to(root)) for path in [*found, *root.glob("CMakeLists.txt")])


def is_source(path, text):
    """Whether these rules are for this file: by its ending, or, without one, by its first line."""
    name = os.path.basename(path)
    if path.startswith("tests/goldens/") or GENERATED.search("\n".join(text.split("\n", 3)[:3])):
        return False
    script = "." not in name and text.startswith("#!")
    return name.endswith(ENDINGS) or name == "CMakeLists.txt" or script or path == ".ci/run"


def unordered(text):
    """Numbers of the #include lines that should stand above the one before them."""
    before = ""
    for number, line in enumerate(text.split("\n"), 1):
        found = re.match(r'#include ["<]([^">]+)', line)
        name = found.group(1).lower() if found else ""
        if name and name < before:
            yield number
        before = name


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY).resolve()
    count, findings = 0, []
    for path in files(root):
        if "__pycache__" in path:
            continue
        try:
            text = (root / path).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if not is_source(path, text):
            continue
        count += 1
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > LONGEST:
                findings.append(f"{path}:{number}: {len(line)} characters, wanted at most {LONGEST}: wrap the line")
        if path.endswith((".cpp", ".h")):
            findings += [f"{path}:{number}: an #include out of order; sort the block" for number in unordered(text)]
    if count == 0:
        findings.append(f"{root}: no source found")
    for finding in findings:
        print(finding)
    print(f"check_lines: {count} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
