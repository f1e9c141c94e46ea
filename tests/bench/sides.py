"""What scripts/bench and scripts/gpu-check share: the processes that are compared, and numbers about them."""

import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEER = ROOT / "tests" / "bench" / "peer.py"


class BenchError(Exception):
    """What stopped the benchmark, in one line."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Side:
    """One process that answers the line protocol of peer.py, idle while others are asked."""

    def __init__(self, name, command, preload=None):
        environment = dict(os.environ)
        # where the loader would cut the name, and say so only
        if preload and any(mark in str(preload) for mark in " :"):
            raise BenchError(f"{preload}: a path with a space or a colon cannot be preloaded; put the checkout "
                             "elsewhere")
        if preload:
            environment["LD_PRELOAD"] = str(preload)
        else:
            environment.pop("LD_PRELOAD", None)
        self.name = name
        self.process = subprocess.Popen([str(part) for part in command], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.facts = self._read()

    def _read(self):
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise BenchError(f"{self.name} ended with exit code {self.process.wait()}; its last words are above")
            if line.startswith("{"):
                answer = json.loads(line)
                if "error" in answer:
                    raise BenchError(f"{self.name}: {answer['error']}")
                return answer

    def ask(self, command):
        try:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise BenchError(f"{self.name} ended with exit code {self.process.wait()}") from error
        return self._read()

    def close(self):
        if self.process.poll() is None:
            try:
                self.process.stdin.write("quit\n")
                self.process.stdin.close()
                self.process.wait(timeout=60)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                self.process.kill()
                self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def run(command, what):
    """Runs a command with its output on our stderr."""
    done = subprocess.run([str(part) for part in command], stdout=sys.stderr, check=False)
    if done.returncode:
        raise BenchError(f"{what} failed with exit code {done.returncode}")


def build_targets(folder, stamp, targets):
    """Builds CMake targets in `folder`, installing what is missing as every start of templora does."""
    program = 'source "$1/scripts/lib.sh"; build=$2; shift 2; build_target "$@"'
    shell = ["bash", "-euo", "pipefail", "-c", program, "bash"]
    run([*shell, ROOT, pathlib.Path(folder).resolve(), stamp, *targets], "the build")


def interleave(sides, rounds, command="chunk"):
    """Asks every side in turn, `rounds` times after one uncounted warm-up. → {name: [answer, ...]}."""
    answers = {side.name: [] for side in sides}
    for round_index in range(rounds + 1):
        for side in sides:
            answer = side.ask(command)
            if round_index:
                answers[side.name].append(answer)
        say(f"round {round_index} of {rounds}" + ("" if round_index else " (warm-up, not counted)"))
    return answers


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "all": list(values)}


def speedup(slow, fast):
    """How many times faster `fast` was, round by round, as the rounds are neighbours in time."""
    return summary([a / b for a, b in zip(slow, fast)])


def ratio_table(ratios):
    """Rows of {"fast", "slow", "wanted", "median", "min", "max"} as Markdown."""
    rows = [[r["fast"], r["slow"], f"{r['median']:.2f} ({r['min']:.2f}-{r['max']:.2f})", r["wanted"],
             "yes" if r["median"] >= r["wanted"] else "no"] for r in ratios]
    return markdown_table(["faster", "than", "times (min-max)", "wanted", "reached"], rows)


def machine():
    """CPU, memory and system, as they stand beside every figure."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")

    def field(name):
        found = re.search(rf"^{name}\s*:\s*(.*)$", text, re.M)
        return found.group(1) if found else "unknown"

    flags = set(field("flags").split())
    isa = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16") if flag in flags]
    names = {("AuthenticAMD", "25", True): "Zen 4", ("AuthenticAMD", "25", False): "Zen 3",
             ("AuthenticAMD", "26", True): "Zen 5"}
    family = field("cpu family")
    return {"cpu": field("model name"), "vendor": field("vendor_id"), "family": family, "model": field("model"),
            "core": names.get((field("vendor_id"), family, "avx512f" in flags), "unknown"),
            "isa": isa, "cores": os.cpu_count(), "system": platform.platform(),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")}


def trace_counts(path):
    """Launches and host synchronisations in a Chrome trace that the profiler wrote.

    Waits for the whole device are counted apart: both sides do that once before and once after a timed
    chunk, as the clock needs it.
    """
    events = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["traceEvents"]
    counts = {"launches": 0, "graph_launches": 0, "kernels": 0, "host_synchronisations": 0, "device_waits": 0,
              "copies_to_host": 0, "cpu_operators": 0}
    for event in events:
        kind, name = event.get("cat"), event.get("name", "")
        if kind == "cpu_op":
            counts["cpu_operators"] += 1
        elif kind == "kernel":
            counts["kernels"] += 1
        elif kind == "gpu_memcpy" and "DtoH" in name:
            counts["copies_to_host"] += 1
        elif kind in ("cuda_runtime", "cuda_driver"):
            if "GraphLaunch" in name:
                counts["graph_launches"] += 1
            elif "LaunchKernel" in name:
                counts["launches"] += 1
            elif name in ("cudaDeviceSynchronize", "cuCtxSynchronize"):
                counts["device_waits"] += 1
            elif re.search(r"(Stream|Event)Synchronize$", name):
                counts["host_synchronisations"] += 1
    return counts


def markdown_table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows])
