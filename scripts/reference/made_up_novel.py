"""Made-up novels in GuoFeng's format: the same few names and phrases come again, so that an adapter has something to
learn."""

import random

NAMES = [("林雪", "Lin Xue"), ("阿福", "Ah Fu"), ("老王", "Old Wang"), ("魏将军", "General Wei")]
VERBS = [("走进了", "walked into"), ("离开了", "left"), ("看见了", "saw"), ("想起了", "remembered"), ("守着", "guarded")]
PLACES = [("竹林", "the bamboo grove"), ("旧桥", "the old bridge"), ("苏河", "the River Su"), ("京城", "the capital"),
          ("第12号门", "gate No. 12")]
ENDS = [("。", "."), ("！", "!"), ("，天黑了。", " as it grew dark."), ("……", "…")]


def sentence(chance: random.Random) -> dict:
    parts = [chance.choice(part) for part in (NAMES, VERBS, PLACES, ENDS)]
    return {"zh": "".join(zh for zh, _ in parts), "en": " ".join(en for _, en in parts[:3]) + parts[3][1]}


def novel(seed: int, chunks: int, pairs: int, k1: int = 3, k3: int = 7) -> list[dict]:
    """`chunks` records of `pairs` pairs; contexts k1 and k3 are so many of the pairs before."""
    chance = random.Random(seed)
    before: list[dict] = []
    records = []
    for _ in range(chunks):
        chunk = [sentence(chance) for _ in range(pairs)]
        records.append({"contexts": {"k1": before[-k1:], "k3": before[-k3:]}, "inference": chunk})
        before = before + chunk
    return records
