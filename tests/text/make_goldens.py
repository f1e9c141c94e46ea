#!/usr/bin/env python3
"""Makes tests/text/goldens: small sentencepiece models and what transformers' slow LlamaTokenizer says.

Needs transformers 4.57.x, sentencepiece and protobuf:
    python tests/text/make_goldens.py [--tokenizers ../shared/data/tokenizers] [--books ../shared/data/pg19]

goldens/tokenizers/NAME/   a tokenizer folder, trained here on text made here
goldens/NAME.json          versions, spelled-out cases, and 32-bit hashes of many generated strings
goldens/fragments.json     what the generated strings are put together from (seed, fragments)

A generated string is rebuilt by number in the C++ test, so that a failing one can be named and printed.
The shared tokenizers are not copied: only their hashes and cases are kept.
"""

import argparse
import contextlib
import io
import json
import pathlib
import random
import shutil
import tempfile
import warnings

import sentencepiece
import transformers
from transformers import LlamaTokenizer

HERE = pathlib.Path(__file__).resolve().parent
GOLDENS = HERE / "goldens"
SEED = 20240119
MANY_SHARED = 10000
MANY_SMALL = 400
DECODED_SHARE = 10  # every tenth generated string is decoded as well

# Isaiah 40 and Ecclesiastes 1 in the King James version (1611).
LINES = """Comfort ye, comfort ye my people, saith your God.
Speak ye comfortably to Jerusalem, and cry unto her, that her warfare is accomplished.
The voice of him that crieth in the wilderness, Prepare ye the way of the LORD.
Every valley shall be exalted, and every mountain and hill shall be made low.
The grass withereth, the flower fadeth: but the word of our God shall stand for ever.
Vanity of vanities, saith the Preacher, vanity of vanities; all is vanity.
What profit hath a man of all his labour which he taketh under the sun?
One generation passeth away, and another generation cometh: but the earth abideth for ever.
The sun also ariseth, and the sun goeth down, and hasteth to his place where he arose.
All the rivers run into the sea; yet the sea is not full.
The thing that hath been, it is that which shall be; and there is no new thing under the sun.
For in much wisdom is much grief: and he that increaseth knowledge increaseth sorrow.""".split("\n")

FRAGMENTS = (
    [word for line in LINES[:6] for word in line.split()][:40]
    + [" ", " ", " ", "  ", "   ", "        ", "\n", "\n\n", "\r\n", "\r", "\t", "\t\t ", " \n", "\n "]
    + [".", ",", " .", " ,", "?", " !", "--", "'s", " 's", "n't", " n't", " ' ", "\"", "(", ")", "...", "_", "__"]
    + ["0", "7", "1684", "3.14", "1,000", "a", "A", " a", "I", "the", " the", "ing", "un"]
    + ["\u2581", "\u2581\u2581", " \u2581", "\u2581the", "the\u2581"]
    + ["\u4f60\u597d", "\u4e16\u754c", "\u3002", "\u3000", "\u65e5\u672c\u8a9e", "\ud55c\uad6d\uc5b4",
       "\uff21\uff22", "\ufb01"]
    + ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f",
       "\U00010348"]
    + ["e\u0301", "\u00e9", "\u00df", "o\u0308\u0323", "\u0301", "\u05e9\u05dc\u05d5\u05dd",
       "\u0645\u0631\u062d\u0628\u0627"]
    + ["\x00", "\x01", "\x07", "\x1b[0m", "\x1c", "\x7f", "\x85", "\xa0", "\u200b", "\u2028", "\ufeff", "\ufffd"]
    + ["\ufffe", "\uffff", "\ue000", "\U0010ffff", "\ud7ff", "\U00010000", "\u202e"]
    + ["<s>", "</s>", "<unk>", " <s> ", "<s", "s>", "<<s>>", "</", "<0x0A>", "<0x41>", "<pad>", " <pad>", "<pad> "]
    + ["<|im_start|>", "<|im_end|>", " <|im_end|> ", "<|im_sep|>", "<|startoftext|>", "<|endoftext|>", "<|im_", "|>"]
    + ["<left>", " <left>", "<right>", "<right> \n ", "\u3000<left>", "<both>", " \t<both>\n ", "<word>", " <word> ",
       "x<word>", "<word>x", "<id_1>", "<id_10>", "<id_100>", "<id_1", "d_10>", "\u53cb<\u9054>", "<\u9054>",
       "aab", "aaab", "aa"]
)

CASES = (
    ["", " ", "  ", "   ", "\n", "\n\n", "\t", "\x00", "a\x00b", "a", " a", "a ", "  a  b  ", "a  b", "\u2581",
     "\u2581\u2581a"]
    + LINES[:3]
    + ["   ".join(LINES[3].split()), LINES[4] + "\n" + LINES[5] + "\r\n" + LINES[6]]
    + ["Hello <s>.", "Hello<s>.", "<s>Hello", "<s> Hello", " <s> Hello </s> ", "<s><s>", "<s> <s>", "<unk>",
       " <unk> x"]
    + ["<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "x <|im_end|> y", "x<|im_end|>y", "<|im_end|>"]
    + ["a <left> b", "a  <left>  b", "a<left>b", "a <right> b", "a<right>   b", "a <both> b", "\n <both> \n",
       "<both><both>",
       " <both> <both> ", "a <word> b", "a<word> b", "a <word>b", "a<word>b", "<word>", "<word><word>", "\n<word>\n",
       " <left> <right> <word> <both> ", "<left> <word>", "x <right> <word> y", "x <word> <left> y"]
    + ["<id_1><id_10><id_100><id_1000>", "<id_1", "x<id_10", "a <pad> b", "a<pad>  b",
       "\u53cb\u9054<\u9054>\u53cb", "aaaab", "aab", "xaaab", "aa b aab aaab"]
    + ["don 't do it , he 'll say . n't ' ok '", "I 've ! We 're ? She 's , I 'm ."]
    + ["\u4f60\u597d\uff0c\u4e16\u754c\u3002", "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467",
       "e\u0301\u00e9\ufb01\uff21", "\ufeffBOM", "\u200b \u3000x\u3000"]
    + ["x" * 3000, " " * 500, "ab " * 700, "\u4e2d" * 400, "<s>" * 60, "\n" * 200]
)


class Picker:
    """The 64-bit LCG that tests/text/tokenizer_parity_test.cpp repeats."""

    def __init__(self, number):
        self.state = (SEED + 0x9E3779B97F4A7C15 * (number + 1)) & (2**64 - 1)

    def below(self, limit):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
        return (self.state >> 33) % limit


def generated(number):
    picker = Picker(number)
    count = picker.below(40) if picker.below(50) else 400
    return "".join(FRAGMENTS[picker.below(len(FRAGMENTS))] for _ in range(count))


def fnv(data):
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    return value


def hash_bytes(data):
    return format(fnv(data), "08x")


def hash_ids(ids):
    return hash_bytes(b"".join(int(i).to_bytes(4, "little") for i in ids))


def train(name, **options):
    """A small model on lines made from LINES; the same bytes on every run."""
    rng = random.Random(SEED)
    words = sorted({word for line in LINES for word in line.split()})
    text = LINES * 3 + [" ".join(rng.choice(words) for _ in range(12)) for _ in range(400)]
    text += ["\u4f60\u597d \u4e16\u754c \u65e5\u672c\u8a9e caf\u00e9 na\u00efve 1684 3.14", "a  b   c    d",
        "\ttab"] * 5
    settings = dict(
        model_type="bpe", vocab_size=460, byte_fallback=True, normalization_rule_name="identity",
        remove_extra_whitespaces=False, allow_whitespace_only_pieces=True, split_digits=True, num_threads=1,
        character_coverage=1.0, minloglevel=2,
    )  # fmt: skip
    settings.update(options)
    # Neither input nor output is a file, because the model would hold its path.
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=model, **settings)
    target = GOLDENS / "tokenizers" / name
    target.mkdir(parents=True, exist_ok=True)
    (target / "tokenizer.model").write_bytes(model.getvalue())


def copy_model(source, name):
    target = GOLDENS / "tokenizers" / name
    target.mkdir(parents=True, exist_ok=True)
    shutil.copy(GOLDENS / "tokenizers" / source / "tokenizer.model", target)
    return target


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


def write_golden(path, entry):
    """One line a case, the rest one line a key: small, and a change shows in a diff."""
    lines = [f'"{key}": {json.dumps(value)}' for key, value in entry.items() if key != "cases"]
    cases = ",\n".join(json.dumps(case, separators=(",", ":")) for case in entry["cases"])
    path.write_text("{\n" + ",\n".join(lines) + ',\n"cases": [\n' + cases + "\n]}\n", encoding="utf-8")


def token(content, **flags):
    base = {"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
        "special": True}
    return {**base, **flags}


def with_rules(first):
    """Added tokens of every kind, behind `first` pieces; id 5 renames a piece."""
    tokens = {0: token("<unk>"), 1: token("<s>"), 2: token("</s>"), 5: token("<renamed>")}
    listed = [
        token("<pad>"), token("<|im_start|>"), token("<|im_end|>", special=False), token("<left>", lstrip=True),
        token("<right>", rstrip=True), token("<both>", lstrip=True, rstrip=True), token("<word>", single_word=True),
        token("<id_1>"), token("<id_10>"), token("<id_100>"), token("<\u9054>"), token("aab"), token("aa"),
        token("aaab", special=False, normalized=True),
    ]  # fmt: skip
    tokens.update({first + i: entry for i, entry in enumerate(listed)})
    return {str(i): entry for i, entry in sorted(tokens.items())}


def make_small():
    """Trains the small models and writes their folders; returns their names."""
    config = {"tokenizer_class": "LlamaTokenizer"}
    train("bare")

    folder = copy_model("bare", "added-legacy")
    write_json(folder / "tokenizer_config.json", {
        **config, "legacy": True, "added_tokens_decoder": with_rules(460),
        "additional_special_tokens": ["<|im_start|>", "<left>"],
        "pad_token": "<pad>", "add_eos_token": True, "clean_up_tokenization_spaces": True,
    })  # fmt: skip
    folder = copy_model("bare", "added-new")
    write_json(folder / "tokenizer_config.json", {
        **config, "legacy": False, "added_tokens_decoder": with_rules(460),
        "additional_special_tokens": ["<|im_start|>", "<new>"],
        "pad_token": "<pad>", "bos_token": {"__type": "AddedToken", **token("<s>")},
    })  # fmt: skip

    train("no-prefix", add_dummy_prefix=False, user_defined_symbols=["<|im_start|>", "<|im_end|>"])
    write_json(GOLDENS / "tokenizers/no-prefix/tokenizer_config.json", {
        **config, "legacy": True, "add_bos_token": False, "spaces_between_special_tokens": False,
        "added_tokens_decoder": {"1": token("<s>"), "3": token("<|im_start|>"), "4": token("<|im_end|>")},
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    })  # fmt: skip
    folder = copy_model("no-prefix", "no-prefix-new")
    write_json(folder / "tokenizer_config.json", {
        **config, "legacy": False, "add_prefix_space": False, "add_eos_token": True,
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    })  # fmt: skip

    folder = copy_model("bare", "older-files")
    write_json(folder / "tokenizer_config.json", {**config, "legacy": None, "additional_special_tokens": ["<left>"]})
    write_json(folder / "special_tokens_map.json", {
        "bos_token": token("<s>", lstrip=True), "eos_token": "</s>", "pad_token": "<pad>",
        "additional_special_tokens": ["<left>", token("<both>", lstrip=True, rstrip=True), "<\u9054>"],
    })  # fmt: skip
    write_json(folder / "added_tokens.json", {"<pad>": 460, "<word>": 462, "<both>": 461})

    folder = copy_model("bare", "from-fast")
    write_json(folder / "tokenizer_config.json", {"legacy": False, "tokenizer_class": "LlamaTokenizerFast",
        "pad_token": "<pad>"})
    added = [token("<unk>"), token("<s>"), token("</s>"), token("<pad>", rstrip=True),
             token("<word>", single_word=True)]
    entries = [{"id": i, **entry} for i, entry in zip([0, 1, 2, 460, 461], added)]
    write_json(folder / "tokenizer.json", {"version": "1.0", "added_tokens": entries})

    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        pathlib.Path("rules.tsv").write_text("FF21\t41\nFB01\t66 69\n301\t\n", encoding="utf-8")
        train("trimming", byte_fallback=False, vocab_size=200, remove_extra_whitespaces=True,
              allow_whitespace_only_pieces=False, normalization_rule_tsv="rules.tsv")  # fmt: skip
    write_json(GOLDENS / "tokenizers/trimming/tokenizer_config.json", {**config, "legacy": True,
        "split_special_tokens": True})
    folder = copy_model("trimming", "trimming-new")
    write_json(folder / "tokenizer_config.json", {**config, "legacy": False,
        "additional_special_tokens": ["<id_1>", "aab"]})
    train("unigram", model_type="unigram", vocab_size=420)
    return sorted(path.name for path in (GOLDENS / "tokenizers").iterdir())


def golden(name, tokenizer, many):
    """Cases in full, and hashes of `many` generated strings."""
    cases = []
    for text in CASES:
        plain = tokenizer.encode(text, add_special_tokens=False)
        ids = tokenizer.encode(text)
        entry = {"text": text, "ids": plain, "decoded": tokenizer.decode(ids),
                 "decoded_skip": tokenizer.decode(ids, skip_special_tokens=True)}
        entry["before"] = len(ids) - len(plain) if not tokenizer.add_eos_token else len(ids) - len(plain) - 1
        entry["after"] = 1 if tokenizer.add_eos_token else 0
        if len(text) > 400:
            entry["text"] = {"repeat": text[:3] if text.startswith(("ab ", "<s>")) else text[0]}
            unit = entry["text"]["repeat"]
            entry["text"]["times"] = len(text) // len(unit)
            entry["hash"] = hash_ids(entry.pop("ids"))
            entry["decoded"] = hash_bytes(entry["decoded"].encode())
            del entry["decoded_skip"]
        cases.append(entry)
    hashes, decoded = [], []
    for number in range(many):
        text = generated(number)
        ids = tokenizer.encode(text)
        hashes.append(hash_ids(ids))
        if number % DECODED_SHARE == 0:
            both = tokenizer.decode(ids) + "\x00" + tokenizer.decode(ids, skip_special_tokens=True)
            decoded.append(hash_bytes(both.encode()))
    return {
        "name": name,
        "versions": {"transformers": transformers.__version__, "sentencepiece": sentencepiece.__version__},
        "seed": SEED,
        "bos_id": tokenizer.bos_token_id,
        "eos_id": tokenizer.eos_token_id,
        "size": max([tokenizer.vocab_size - 1, *tokenizer.added_tokens_decoder]) + 1,
        "cases": cases,
        "decoded_share": DECODED_SHARE,
        "generated": "".join(hashes),
        "decoded": "".join(decoded),
    }


def book_hashes(tokenizer, folder):
    out = {}
    for path in sorted(folder.glob("*.txt"))[:4] if folder else []:
        ids = tokenizer.encode(path.read_text(encoding="utf-8").strip())
        out[path.name] = {"tokens": len(ids), "hash": hash_ids(ids)}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizers", type=pathlib.Path, help="folder with llama-2 and yi-6b-chat")
    parser.add_argument("--books", type=pathlib.Path, help="folder with PG-19 books, one .txt each")
    arguments = parser.parse_args()
    if bool(arguments.tokenizers) != bool(arguments.books):
        parser.error("--tokenizers and --books: got one of the two, wanted both or none")
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    write_json(GOLDENS / "fragments.json", {"seed": SEED, "fragments": FRAGMENTS})
    for name in make_small():
        tokenizer = LlamaTokenizer.from_pretrained(GOLDENS / "tokenizers" / name)
        write_golden(GOLDENS / f"{name}.json", golden(name, tokenizer, MANY_SMALL))
    for name in ["llama-2", "yi-6b-chat"] if arguments.tokenizers else []:
        tokenizer = LlamaTokenizer.from_pretrained(arguments.tokenizers / name)
        entry = golden(name, tokenizer, MANY_SHARED)
        entry["books"] = book_hashes(tokenizer, arguments.books)
        write_golden(GOLDENS / f"shared-{name}.json", entry)


if __name__ == "__main__":
    main()
