#!/usr/bin/env python3
"""Runs one config with several settings and ranks them by the module's mean NLL.

  scripts/choose_settings.py configs/validation/small.json configs/validation/grid.json --out runs/choice [--jobs 2]

The grid is a JSON array of objects: {"name": ..., "set": {"train.learning_rate": 0.001, ...}}. Every setting has a run
folder of its own below --out; finished ones are not run again, stopped ones go on. The table goes to standard output
and to --out/choice.md. The books are the config's: for a choice that says something about other books, held-back ones.
"""
import argparse
import concurrent.futures
import json
import math
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent


def run(arguments, setting):
    folder = arguments.out / setting["name"]
    if not (folder / "summary.json").exists():
        command = [str(ROOT / "build/templora"), "run", str(arguments.config), "--out", str(folder)]
        for key, value in {"run.threads": arguments.threads, **setting["set"]}.items():
            command += ["--set", f"{key}={json.dumps(value)}"]
        if (folder / "run.json").exists():
            command.append("--resume")
        with open(arguments.out / f"{setting['name']}.log", "w") as log:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT)
        if done.returncode != 0:
            return setting["name"], None
    rows = json.loads((folder / "summary.json").read_text())["all"]
    seconds = json.loads((folder / "summary.json").read_text())["chunk_seconds"]
    return setting["name"], [row["lora"] and math.log(row["lora"]["corpus"]) for row in rows] + [rows[-1]["tokens"] / seconds]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=pathlib.Path)
    parser.add_argument("grid", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--threads", type=int, default=1, help="threads of each")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    grid = json.loads(arguments.grid.read_text())
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(lambda setting: run(arguments, setting), grid))
    failed = [name for name, values in results if values is None]
    done = sorted((values, name) for name, values in results if values is not None)
    done.sort(key=lambda item: item[0][-2])
    labels = [row["label"] for row in json.loads((arguments.out / grid[0]["name"] / "summary.json").read_text())["all"]] if done else []
    lines = ["| setting | " + " | ".join(f"NLL {label}" for label in labels) + " | tokens/s |", "| --- |" + " ---: |" * (len(labels) + 1)]
    for values, name in done:
        cells = ["–" if value is None else f"{value:.4f}" for value in values[:-1]]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {values[-1]:.0f} |")
    table = "\n".join(lines) + "\n"
    (arguments.out / "choice.md").write_text(table)
    print(table, end="")
    for name in failed:
        print(f"choose_settings: {name} failed; see {arguments.out / (name + '.log')}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
