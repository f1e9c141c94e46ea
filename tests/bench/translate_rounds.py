"""The translation part of scripts/bench: a GuoFeng chunk beside the released loop on transformers + PEFT, interleaved,
and what each part of the difference is worth: kernels, one reading of a prompt, batching, the shared prefix."""

from bench.sides import ROOT, Side, markdown_table, say, speedup, summary

PEER = ROOT / "tests" / "bench" / "translate_peer.py"
SHAPE = ("layers", "hidden", "ffn", "heads", "vocab", "rank", "epochs")
CHUNK = {"sentences": 8, "context-pairs": 16, "pair-tokens": 24, "new": 32}
# (mode of bench_translate, what it adds to the one before)
PARTS = [("alone", "kernels: sentence by sentence, as the peer works"),
         ("prefill", "+ a prompt is read once, not twice"),
         ("batch", "+ all sentences at once"), ("shared", "+ the prompts' common beginning is read once")]
WANTED = 10  # of the issue that asked for the translation experiment


def measure(shape, executable, python, rounds, threads):
    """Asks every side once a round → {"chunk", "peer", "parts", "ratios", "facts"}."""
    common = [text for name in SHAPE for text in (f"--{name}", str(getattr(shape, name)))] + ["--threads", str(threads)]
    common += [text for name, value in CHUNK.items() for text in (f"--{name}", str(value))]
    sides, found = {}, {}
    try:
        sides["peer"] = Side("translation peer", [python, PEER, *common])
        sides["float32"] = Side("translation float32", [executable, *common])
        sides["bfloat16"] = Side("translation bfloat16", [executable, *common, "--dtype", "bfloat16"])
        plans = [("peer", "peer", "chunk")] + [(mode, "float32", f"chunk {mode}") for mode, _ in PARTS]
        plans.append(("shared bfloat16", "bfloat16", "chunk shared"))
        for number in range(rounds + 1):
            for name, side, command in plans:
                answer = sides[side].ask(command)
                if number:
                    found.setdefault(name, []).append(answer)
            say(f"translation, round {number} of {rounds}" + ("" if number else " (warm-up, not counted)"))
        facts = {name: side.facts for name, side in sides.items()}
    finally:
        for side in sides.values():
            side.close()
    total = {name: [one["answers"] + one["train"] for one in all_of] for name, all_of in found.items()}
    answers = {name: [one["answers"] for one in all_of] for name, all_of in found.items()}
    train = {name: summary([one["train"] for one in all_of]) for name, all_of in found.items()}
    names = list(found)
    return {"chunk": CHUNK, "facts": facts, "train": train,
            "seconds": {name: summary(total[name]) for name in names},
            "answers": {name: summary(answers[name]) for name in names},
            "step": {name: speedup(answers[before], answers[name]) for before, name in zip(names, names[1:])},
            "times": {name: speedup(total["peer"], total[name]) for name in names[1:]}}


def report(record):
    """The record as Markdown."""
    says = {"peer": "transformers + PEFT, float32", **dict(PARTS), "shared bfloat16": "the same in bfloat16"}
    rows = []
    for name in record["seconds"]:
        step, times = record["step"].get(name), record["times"].get(name)
        rows.append([says[name], f"{record['answers'][name]['median']:.2f}", f"{step['median']:.2f}" if step else "",
                     f"{record['train'][name]['median']:.2f}",
                     f"{record['seconds'][name]['median']:.2f} "
                     f"({record['seconds'][name]['min']:.2f}-{record['seconds'][name]['max']:.2f})",
                     f"{times['median']:.2f} ({times['min']:.2f}-{times['max']:.2f})" if times else ""])
    chunk = record["chunk"]
    lines = [f"A chunk of {chunk['sentences']} sentences behind {chunk['context-pairs']} pairs of context, "
             f"{chunk['pair-tokens']} tokens a "
             f"sentence, {chunk['new']} new tokens each, by base and module, then the training; seconds:", "",
             markdown_table(["translation", "answers", "times faster than the row above", "training", "chunk (min-max)",
                             "times faster than the peer (min-max)"], rows), "",
             f"The whole chunk was wanted {WANTED} times faster in float32: "
             f"{'reached' if record['times']['shared']['median'] >= WANTED else 'not reached'}."]
    return "\n".join(lines)
