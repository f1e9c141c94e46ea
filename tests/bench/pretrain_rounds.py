"""The pretraining part of scripts/bench: training tokens a second of the shipped model's shape beside a plain
transformers loop, interleaved."""

from bench.sides import ROOT, Side, interleave, markdown_table, ratio_table, speedup, summary

PEER = ROOT / "tests" / "bench" / "pretrain_peer.py"
STEPS = 4
QUICK = ["--layers", "2", "--hidden", "64", "--ffn", "128", "--heads", "2", "--vocab", "512", "--sequence", "64"]
# (name, own program or the peer, options)
PLANS = [("peer float32", False, ["--dtype", "float32"]), ("peer bfloat16 autocast", False, ["--dtype", "bfloat16"]),
         ("templora float32", True, ["--dtype", "float32"]), ("templora bfloat16", True, ["--dtype", "bfloat16"]),
         ("templora bfloat16, batch 8", True, ["--dtype", "bfloat16", "--batch", "8"])]
WANTED = [("templora bfloat16", "peer bfloat16 autocast", 1), ("templora float32", "peer float32", 1)]


def measure(executable, python, rounds, threads, quick):
    """Asks every plan for some steps once a round → {"plans": {name: ...}, "ratios": [...]}."""
    sides = []
    try:
        for name, own, options in PLANS:
            sides.append(Side(name, [*([executable] if own else [python, PEER]), "--threads", str(threads), *options,
                                     *(QUICK if quick else [])]))
        answers = interleave(sides, rounds, f"step {STEPS}")
        facts = {side.name: side.facts for side in sides}
    finally:
        for side in sides:
            side.close()
    seconds = {name: [a["seconds"] / a["tokens"] for a in found] for name, found in answers.items()}
    return {"plans": {name: {"tokens_per_s": summary([1 / s for s in values])} for name, values in seconds.items()},
            "ratios": [{"fast": fast, "slow": slow, "wanted": wanted, **speedup(seconds[slow], seconds[fast])}
                       for fast, slow, wanted in WANTED],
            "facts": facts}


def report(record):
    """The record as Markdown."""
    rows = []
    for name, plan in record["plans"].items():
        speed = plan["tokens_per_s"]
        rows.append([name, f"{speed['median']:,.0f} ({speed['min']:,.0f}-{speed['max']:,.0f})"])
    lines = ["Pretraining the shipped model's shape, sequences of 512, batch 16 where nothing is said:", "",
             markdown_table(["training", "tokens a second (min-max)"], rows), ""]
    return "\n".join([*lines, ratio_table(record["ratios"])])
