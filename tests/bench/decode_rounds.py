"""The decoding part of scripts/bench: tokens a second beside transformers, interleaved, and the share of the
bandwidth of a plain read of the weights that a single stream reaches."""

import os

from bench.sides import ROOT, Side, markdown_table, ratio_table, say, speedup, summary

PEER = ROOT / "tests" / "bench" / "decode_peer.py"
# llama.cpp takes part where TEMPLORA_LLAMACPP_PYTHON names a Python with xllamacpp, gguf and numpy.
LLAMACPP = ROOT / "tests" / "bench" / "llamacpp_peer.py"
LLAMACPP_PLANS = [("llama.cpp float32", "float32"), ("llama.cpp bfloat16", "bfloat16")]
SHAPE = ("layers", "hidden", "ffn", "heads", "vocab", "rank")
# (name, own program or the peer, options, sequences at once)
PLANS = [("peer float32", False, [], 1), ("peer float32 + adapter", False, ["--adapter", "1"], 1),
         ("peer bfloat16", False, ["--dtype", "bfloat16"], 1),
         ("templora float32", True, [], 1), ("templora float32 + adapter", True, ["--adapter", "1"], 1),
         ("templora bfloat16", True, ["--dtype", "bfloat16"], 1),
         ("templora bfloat16 + adapter", True, ["--dtype", "bfloat16", "--adapter", "1"], 1),
         ("templora float32, 8 sequences", True, [], 8),
         ("templora bfloat16, 8 sequences", True, ["--dtype", "bfloat16"], 8)]
# (faster, slower, wanted ratio of tokens a second) of the issue that asked for decoding
WANTED = [("templora float32", "peer float32", 3), ("templora float32 + adapter", "peer float32 + adapter", 3),
          ("templora bfloat16", "peer float32", 6), ("templora float32, 8 sequences", "peer float32", 12),
          ("templora bfloat16, 8 sequences", "peer float32", 12)]


def measure(shape, executable, python, rounds, threads, context, new):
    """Asks every plan once a round → {"plans": {name: ...}, "ratios": [...]}."""
    common = [text for name in SHAPE for text in (f"--{name}", str(getattr(shape, name)))] + ["--threads", str(threads)]
    others = os.environ.get("TEMPLORA_LLAMACPP_PYTHON")
    beside = LLAMACPP_PLANS if others else []
    sides, found = {}, {name: {"seconds_a_token": [], "read": []} for name, *_ in [*PLANS, *beside]}
    try:
        for name, dtype in beside:
            sides[name] = Side(name, [others, LLAMACPP, *common, "--dtype", dtype])
        for name, own, options, _ in PLANS:
            key = (own, *options)
            if key not in sides:
                sides[key] = Side(name, [*([executable] if own else [python, PEER]), *common, *options])
        for number in range(rounds + 1):
            for name, own, options, batch in PLANS:
                side = sides[(own, *options)]
                answer = side.ask(f"decode {batch} {context} {new}")
                if number:
                    found[name]["seconds_a_token"].append(answer["seconds"] / answer["tokens"])
                    if own and batch == 1:
                        found[name]["read"].append(side.ask("read"))
            for name, _ in beside:
                answer = sides[name].ask(f"decode 1 {context} {new}")
                if number:
                    found[name]["seconds_a_token"].append(answer["seconds"] / answer["tokens"])
            say(f"decoding, round {number} of {rounds}" + ("" if number else " (warm-up, not counted)"))
        facts = {"peer": sides[(False,)].facts, "templora": sides[(True,)].facts,
                 **{name: sides[name].facts for name, _ in beside}}
    finally:
        for side in sides.values():
            side.close()
    for plan in found.values():
        plan["tokens_per_s"] = summary([1 / s for s in plan["seconds_a_token"]])
        if plan["read"]:
            shares = [read["bytes"] / read["bytes_per_s"] / s for read, s in zip(plan["read"], plan["seconds_a_token"])]
            plan["share_of_read"] = summary(shares)
            plan["read_bytes_per_s"] = summary([read["bytes_per_s"] for read in plan["read"]])
    wanted = WANTED + [(name.replace("llama.cpp", "templora"), name, 1) for name, _ in beside]
    ratios = [{"fast": fast, "slow": slow, "wanted": wanted,
               **speedup(found[slow]["seconds_a_token"], found[fast]["seconds_a_token"])}
              for fast, slow, wanted in wanted]
    return {"context": context, "new": new, "plans": found, "ratios": ratios, "facts": facts}


def report(record):
    """The record as Markdown."""
    rows = []
    for name, plan in record["plans"].items():
        speed = plan["tokens_per_s"]
        read = plan.get("read_bytes_per_s")
        rows.append([name, f"{speed['median']:.1f} ({speed['min']:.1f}-{speed['max']:.1f})",
                     f"{read['median'] / 1e9:.1f} GB/s" if read else "",
                     f"{100 * plan['share_of_read']['median']:.0f} %" if read else ""])
    lines = [f"Greedy decoding after {record['context']} tokens, {record['new']} new ones; "
             f"kernels {record['facts']['templora']['isa']}:", "",
             markdown_table(["decoding", "tokens a second (min-max)", "plain read of the weights", "share reached"],
                            rows), ""]
    return "\n".join([*lines, ratio_table(record["ratios"])])
