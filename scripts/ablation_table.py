#!/usr/bin/env python3
"""Prints, for each variant of a sweep, its best learning rate and what it gave there: ready for docs/ablations.md.

  scripts/ablation_table.py configs/sweeps/ablations.json runs/ablations

The first argument is the sweep's definition, whose `points` are the variants; the second is the folder that
`templora sweep` made of it. Numbers come from the summary.json of cells: mean NLL over all scored tokens (of the
module, or of the base model where there is no module) and perplexity. A rate at an end of those that were tried is
marked with *: a better one may lie beyond. Tokens a second are scored ones over the time of the whole run; a run that
took over the base model's scores from another has none (–). Cells that are not finished are counted below the table.
"""
import argparse
import json
import math
import pathlib
import sys


def took_over(folder):
    """Whether base scores of a run came from another, so that its seconds lack them."""
    chunks = (json.loads(line) for line in (folder / "chunks.jsonl").read_text().splitlines())
    return any(chunk["base_nll"] is not None and "score_base" not in chunk["seconds"] for chunk in chunks)


def result(folder):
    """(mean NLL, learning rate, scored tokens a second or None) of a finished run, else None."""
    try:
        summary = json.loads((folder / "summary.json").read_text())
    except OSError:
        return None
    row = summary["all"][-1]
    scorer = row["lora"] or row["base"]
    seconds = summary["chunk_seconds"]
    rate = json.loads((folder / "run.json").read_text())["config"]["train"]["learning_rate"]
    speed = row["tokens"] / seconds if seconds > 0 and not took_over(folder) else None
    return math.log(scorer["corpus"]), rate, speed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("definition", type=pathlib.Path)
    parser.add_argument("sweep", type=pathlib.Path, help="folder of the sweep")
    arguments = parser.parse_args()
    definition = json.loads(arguments.definition.read_text())
    points = definition["points"]
    reference_name = next(iter(points))
    runs, waiting = {name: [] for name in points}, 0
    for cell in json.loads((arguments.sweep / "sweep.json").read_text())["cells"]:
        name = cell["values"].get("point")
        if name not in points:
            sys.exit(f"ablation_table: {cell['folder']}: is point {name}, wanted one of {arguments.definition}")
        measured = result(arguments.sweep / cell["folder"])
        if measured:
            runs[name].append(measured)
        else:
            waiting += 1
    reference = min((nll for nll, _, _ in runs[reference_name]), default=None)
    print(f"| variant | rate | rates | NLL | against {reference_name} | perplexity | tokens/s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, tried in sorted(runs.items(), key=lambda item: min((run[:2] for run in item[1]), default=(math.inf,))):
        if not tried:
            continue
        nll, rate, speed = min(tried, key=lambda run: run[:2])
        tokens = "–" if speed is None else f"{speed:.0f}"
        rates = sorted(rate for _, rate, _ in tried)
        learns = points[name].get("score.adapter", True)
        shown = f"{rate:g}{'*' if len(rates) > 1 and rate in (rates[0], rates[-1]) else ''}" if learns else "–"
        change = "–" if reference is None else f"{nll - reference:+.4f}"
        print(f"| {name} | {shown} | {len(rates) if learns else '–'} | {nll:.4f} | {change} | {math.exp(nll):.2f} | "
              f"{tokens} |")
    if waiting:
        print(f"\n{waiting} cells are not finished.")


if __name__ == "__main__":
    main()
