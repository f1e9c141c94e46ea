"""Runs one case of configs.json with two builds, the old one first, in a folder of the same name each time."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

from .compare import differences
from .inputs import ROOT

TRIES = 5             # to stop a run before it is done
COMMAND_LIMIT_S = 300
RECORDS = ("chunks.jsonl", "steps.jsonl")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


class Failed(Exception):
    """A command did not end as it should."""


def load_cases():
    """name → case, with its whole config under "config"."""
    data = json.loads((ROOT / "scripts/same_numbers/configs.json").read_text(encoding="utf-8"))

    def keys_of(base):
        keys = dict(data["bases"][base])
        return {**(keys_of(keys.pop("from")) if "from" in keys else {}), **keys}
    cases = {}
    for case in data["cases"]:
        keys = {**keys_of(case["base"]), **case.get("set", {})}
        cases[case["name"]] = {**case, "config": placed(nested(keys))}
    if len(cases) != len(data["cases"]):
        raise SystemExit("same-numbers: configs.json: a name stands twice")
    return cases


def nested(keys):
    config = {}
    for key, value in keys.items():
        *sections, name = key.split(".")
        section = config
        for part in sections:
            section = section.setdefault(part, {})
        section[name] = value
    return config


def placed(value):
    """`@/` is the folder of models and texts, seen from the folder that a case runs in."""
    if isinstance(value, dict):
        return {key: placed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [placed(item) for item in value]
    if not isinstance(value, str):
        return value
    return value.replace("@/", "../../inputs/").replace("{root}", str(ROOT))


def run(case, programs, folder):
    """Runs the case in `folder` with each program; returns the (place, old, new) that differ. Throws Failed."""
    for side in ("old", "new"):
        here = folder / "run"
        here.mkdir(parents=True)
        write(here / "config.json", case["config"])
        for name, content in case.get("files", {}).items():
            write(here / name, content)
        first = programs["old"] if case.get("first") == "old" else programs[side]
        commands = case.get("commands", ["run config.json --out out"])
        count = 0
        for command in commands:
            program = first
            if "stop" in case:
                stop(case, first, command, here)
                command, program = command + " --resume", programs[side]
            execute(side, program, command, here, count)
            count += 1
        for command in case.get("then", []):
            execute(side, programs[side], command, here, count)
            count += 1
        here.rename(folder / side)
    return list(differences(folder / "old", folder / "new", stopped="stop" in case))


def write(path, content):
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def execute(side, program, command, here, index):
    """Runs a command; what it prints becomes a file of the folder, so that it is compared too."""
    arguments = placed(command).split(" ")
    try:
        ended = subprocess.run([program, *arguments], cwd=here, env=ENVIRONMENT, capture_output=True, check=False,
                               timeout=COMMAND_LIMIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Failed(f"{side}: templora {command}: still runs after {COMMAND_LIMIT_S} s") from None
    if ended.returncode != 0:
        lines = ended.stderr.decode(errors="replace").strip().splitlines() or ["nothing on standard error"]
        raise Failed(f"{side}: templora {command}: exit code {ended.returncode}: {lines[-1]}")
    if command.split()[0] not in ("run", "sweep") or "--dry-run" in command:
        (here / f"printed-{index}-{arguments[0]}.txt").write_bytes(ended.stdout)


def stop(case, program, command, here):
    """Starts the run and stops it by a signal once it has written case["stop"] records."""
    out = here / command.split("--out ")[1].split()[0]
    for _ in range(TRIES):
        with subprocess.Popen([program, *placed(command).split(" ")], cwd=here, env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
            while child.poll() is None and records(out) < case["stop"]:
                time.sleep(0.001)
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
            said = child.stderr.read().decode(errors="replace").strip().splitlines()
            code = child.wait()
        if code == 75:
            return
        if code != 0:
            raise Failed(f"templora {command}: exit code {code}: {said[-1] if said else ''}")
        shutil.rmtree(out)  # it was done before the signal came
    raise Failed(f"templora {command}: was done before it could be stopped, {TRIES} times")


def records(out):
    for name in RECORDS:
        try:
            return (out / name).read_bytes().count(b"\n")
        except OSError:
            pass
    return 0
