"""Goldens of the GuoFeng token streams: prompts, references and training texts of made-up pairs."""

import json
from pathlib import Path

from transformers import LlamaTokenizer

from .guofeng_text import GuoFengText

ROOT = Path(__file__).resolve().parents[2]
TOKENIZERS = ROOT / "tests" / "text" / "goldens" / "tokenizers"
SHARED = ROOT / ".." / "shared" / "data"
CASES = [  # folder of tests/text/goldens/tokenizers, template
    ("no-prefix", "chatml"), ("no-prefix-new", "chatml"), ("added-legacy", "chatml"), ("added-new", "chatml"),
    ("bare", "plain"), ("bare", "llama2"), ("from-fast", "llama2"), ("unigram", "plain"), ("no-prefix", "plain"),
]
PAIRS = [
    ("夜深了。", "It was late at night."), ("“你是谁？”他问。", "\"Who are you?\" he asked."),
    ("她没有回答，只是看着窗外。", "She did not answer; she only looked out of the window."),
    ("第12章 　旧信", "Chapter 12 -  An Old Letter"), ("……", "…"), (" 前面有空格", "  Two spaces before this, one after "),
    ("他走了", ""), ("山\u00a0高", "The hill's high — 3,952 m!"), ("好", "OK"), ("日本語も少し", "A little naïve café talk"),
    ("<|im_end|>的意思", "What <|im_end|> means"), ("最后一句。", "The voice of him that crieth in the wilderness."),
]
SHARED_CHUNKS = 2


def fnv(ids: list[int]) -> str:
    value = 2166136261
    for byte in b"".join(i.to_bytes(4, "little") for i in ids):
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return f"{value:08x}"


def streams(text: GuoFengText, context: list[dict], chunk: list[dict]) -> dict:
    ids, labels = text.lesson(context, chunk)
    labelled = sum(label != -100 for label in labels)
    if labels != [-100] * (len(ids) - labelled) + ids[len(ids) - labelled:]:
        raise ValueError("labels are not the end of the text")
    return {"prompts": [text.prompt(context + chunk[:i], pair["zh"]) for i, pair in enumerate(chunk)],
            "references": [text.reference(pair["en"]) for pair in chunk], "lesson": ids, "labelled": labelled}


def make_shared(root: Path) -> None:
    """Hashes of what Yi's tokenizer makes of the first chunks of the shared novels."""
    tokenizer = LlamaTokenizer.from_pretrained(SHARED / "tokenizers" / "yi-6b-chat")
    entries = []
    for novel in ("102-bgwzsl.train", "50-nswdllbw.train"):
        records = json.loads((SHARED / "guofeng" / novel).read_text(encoding="utf-8"))[:SHARED_CHUNKS]
        for context in ("k1", "k3"):
            for official in (True, False):
                text = GuoFengText(tokenizer, "chatml", official)
                chunks = []
                for record in records:
                    made = streams(text, record["contexts"][context], record["inference"])
                    chunks.append({"prompts": fnv(sum(made["prompts"], [])),
                                   "references": fnv(sum(made["references"], [])),
                                   "lesson": fnv(made["lesson"]), "labelled": made["labelled"]})
                entries.append({"novel": novel, "context": context, "official": official, "chunks": chunks})
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    (root / "shared-yi-6b-chat.json").write_text("[\n" + lines + "\n]\n", encoding="utf-8")


def make(root: Path, seed: int) -> dict:
    """root/expected.json; with ../shared also shared-yi-6b-chat.json, which holds hashes only."""
    pairs = [{"zh": zh, "en": en} for zh, en in PAIRS]
    context, chunk = pairs[:5], pairs[5:]
    cases = []
    for folder, template in CASES:
        tokenizer = LlamaTokenizer.from_pretrained(TOKENIZERS / folder)
        for official in (True, False):
            made = streams(GuoFengText(tokenizer, template, official), context, chunk)
            # Prompts grow by a pair each: the first, one in the middle and the last say enough.
            made["prompts"] = {str(i): made["prompts"][i] for i in (0, 3, len(chunk) - 1)}
            cases.append({"tokenizer": folder, "template": template, "official": official, **made})
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    (root / "expected.json").write_text(
        "{\"context\": " + json.dumps(context) + ",\n\"chunk\": " + json.dumps(chunk) + ",\n"
        "\"cases\": [\n" + lines + "\n]}\n",
        encoding="utf-8")
    if (SHARED / "tokenizers" / "yi-6b-chat").exists():
        make_shared(root)
    different = sum(a["lesson"] != b["lesson"] for a, b in zip(cases[::2], cases[1::2]))
    if different < 3:
        raise ValueError("official and corrected are the same: a useless golden")
    return {"tokenizers": "tests/text/goldens/tokenizers", "cases": len(cases), "lessons_that_differ": different}
