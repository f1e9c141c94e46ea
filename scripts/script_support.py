"""What scripts/get-model and scripts/get-data share: errors of one line with an exit code, commands, hashes."""

import argparse
import hashlib
import subprocess
import sys

USAGE, BAD_INPUT, RESOURCES = 2, 3, 4
BLOCK = 1 << 20


class Failed(Exception):
    def __init__(self, message, code):
        super().__init__(message)
        self.code = code


class Parser(argparse.ArgumentParser):
    def error(self, message):
        name = self.prog.rpartition("/")[2]
        raise Failed(f"{name}: {message}; {self.prog} --list names what there is", USAGE)


def say(message):
    print(f"templora: {message}", file=sys.stderr, flush=True)


def last_line(text, default):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else default


def run(command, what, **options):
    """Standard output. Fails with the last line that the command wrote."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    except OSError as error:
        raise Failed(f"{what}: {error.strerror}", RESOURCES)
    if done.returncode:
        said = last_line(done.stderr or done.stdout, f"exit code {done.returncode}").removeprefix("templora: ")
        raise Failed(f"{what} failed: {said}", BAD_INPUT if done.returncode == BAD_INPUT else RESOURCES)
    return done.stdout


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(BLOCK):
            digest.update(part)
    return digest.hexdigest()


def end_by(main, name):
    """Runs main() and ends the program with its code, or with one line and the code of what failed."""
    try:
        sys.exit(main())
    except Failed as error:
        say(error)
        sys.exit(error.code)
    except OSError as error:
        say(f"{name}: {error.filename or '.'}: {error.strerror}")
        sys.exit(RESOURCES)
    except KeyboardInterrupt:
        sys.exit(130)
