#!/usr/bin/env python3
"""Makes tests/text/goldens/json: small tokenizer.json folders and what transformers' PreTrainedTokenizerFast says.

That class takes a tokenizer.json as it is. GPT2Tokenizer and Qwen2Tokenizer of transformers 5 put patterns of their own
in the place of the file's, and lose SmolLM2's rule that digits stand one by one.

Needs transformers 5 and sentencepiece:
    "$(python3 scripts/reference_python.py --transformers 5)" tests/text/make_json_goldens.py

json/tokenizers/NAME/   a tokenizer folder of one family's pattern, trained here on text made here
json/NAME.json          versions, spelled-out cases, and 32-bit hashes of many generated strings (see make_goldens.py)
json/fragments.json     what the generated strings are put together from (seed, fragments)
"""

import json
import pathlib
import random
import shutil
import warnings

import make_goldens as base
import tokenizers
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

GOLDENS = base.GOLDENS / "json"
MANY = 600
base.FRAGMENTS = base.FRAGMENTS + (
    ["'S", "'LL", "'re", "'\u017f", "'ve", "DON'T", "THE", "camelCase", "HTTPServer", "\u01c5", "\u02b0", "\u2160"]
    + ["12", "123", "1234567", "\u0663", "\u00bd", "\u00b2", "\U0001d7d8", "\u3007", "\u96f6"]
    + ["\u180e", "\u0085", "\u2029", "\u3000\u3000", "\n\n\n", " \n \n ", "\t\n", "\r\n\r\n", "/", "\n/", "://"]
    + ["\U00031350", "\U00011f04", "\ua7f2", "\U0001e030", "\u1df5"]  # letters and marks newer than Unicode 14
    + ["a\u0323\u0307", "a\u0307\u0323", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0344", "\u212b", "\u0b92\u0bd7"]
    + [
        "<0xE4>",
        "\u0120",
        "\u010a",
        "\u00c3\u00a9",
        "<|endoftext|>",
        "<|begin_of_text|>",
        "\u00e9<norm>",
        "<norm\u0301>",
    ]
)
base.CASES = [case for case in base.CASES if len(case) <= 400] + [
    "I'll say 'IT'S' they'RE we'\u017f",
    "year 1684, 3.14159 and 1,000,000",
    "def f(x):\n\treturn x  # ok\n\n\n",
    "a\u0323\u0307 a\u0307\u0323",
    "\u1100\u1161\u11a8 \uac00\u11a8",
    "\u00e9<norm>\u00e9",
    "x" * 3000,
    " " * 500,
    "ab " * 700,
    "\u4e2d" * 400,
    "\n" * 200,
]

GPT2 = None  # ByteLevel's own pattern
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
TEKKEN = (
    rf"""[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+|[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*|\p{{N}}|"""
    r""" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"""
)
VOCABULARY = 700  # pieces of each family
CHATML = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def corpus():
    rng = random.Random(base.SEED)
    words = sorted({word for line in base.LINES for word in line.split()})
    text = base.LINES * 3 + [" ".join(rng.choice(words) for _ in range(12)) for _ in range(400)]
    text += [
        "\u4f60\u597d \u4e16\u754c \u65e5\u672c\u8a9e caf\u00e9 na\u00efve 1684 3.14",
        "a  b   c    d",
        "\ttab\n\n  x",
    ] * 5
    return (
        text
        + ["It's I'll don't THE CamelCase HTTPServer \u4f60\u597d\u4e16\u754c \U0001f600 \u05e9\u05dc\u05d5\u05dd"] * 5
    )


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), behavior="isolated")


def byte_level(pre_tokenizer, normalizer=None, special=(), **model):
    tokenizer = Tokenizer(models.BPE(**model))
    tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    return tokenizer


def template(token, identity, after=()):
    single = f"{token}:0 $A:0" + "".join(f" {name}:1" for name, _ in after)
    return processors.TemplateProcessing(
        single=single, pair=f"{token}:0 $A:0 {token}:1 $B:1", special_tokens=[(token, identity), *after]
    )


def spaced(normalizer, pre_tokenizer, decoder, **model):
    """The sentencepiece-like kind, with pieces <0x00> to <0xFF>."""
    fallback = [f"<0x{byte:02X}>" for byte in range(256)] if model.get("byte_fallback") else []
    special = ["<unk>", "<s>", "</s>"]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **model))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, pre_tokenizers.Metaspace(prepend_scheme="always")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special + fallback, limit_alphabet=VOCABULARY // 10, show_progress=False
    )
    text = [line.replace(" ", "\u2581") for line in corpus()] if normalizer is None else corpus()
    tokenizer.normalizer = None
    tokenizer.train_from_iterator(text, trainer)
    tokenizer.normalizer, tokenizer.decoder = normalizer, decoder
    if pre_tokenizer is None:
        file = json.loads(tokenizer.to_str())
        file["pre_tokenizer"] = None
        tokenizer = Tokenizer.from_str(json.dumps(file))
    else:
        tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.post_processor = template("<s>", 1)
    # The pieces of bytes are no added tokens.
    file = json.loads(tokenizer.to_str())
    file["added_tokens"] = [entry for entry in file["added_tokens"] if entry["id"] < len(special)]
    return Tokenizer.from_str(json.dumps(file))


def llama_decoder():
    return decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )


def families():
    """(name, tokenizer, tokenizer_config.json, tokens put before and behind a text, what is done to tokenizer.json)"""
    level = pre_tokenizers.ByteLevel
    one = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), level(add_prefix_space=False, use_regex=True)]
    )
    yield "smollm2", byte_level(one, special=CHATML), {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "model_max_length": 1000000000000000019884624838656,
    }, 0, 0, None

    isolated = pre_tokenizers.Sequence([split(QWEN2), level(add_prefix_space=False, use_regex=False)])
    qwen = byte_level(isolated, normalizers.NFC())
    qwen.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    qwen.add_special_tokens(CHATML)
    qwen.add_tokens([AddedToken("<tool>", special=False, normalized=False)])
    yield "qwen2", qwen, {
        "tokenizer_class": "Qwen2Tokenizer",
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "add_bos_token": False,
        "add_prefix_space": False,
        "extra_special_tokens": ["<|im_start|>", "<|im_end|>"],
        "bos_token": None,
    }, 0, 0, None

    isolated = pre_tokenizers.Sequence([split(LLAMA3), level(add_prefix_space=False, use_regex=False)])
    llama3 = byte_level(isolated, ignore_merges=True)
    llama3.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    start = llama3.token_to_id("<|begin_of_text|>")
    llama3.post_processor = processors.Sequence(
        [processors.ByteLevel(trim_offsets=False), template("<|begin_of_text|>", start)]
    )

    def whole_words(file):  # pieces that no merges lead to
        vocabulary = file["model"]["vocab"]
        first = len(vocabulary)
        for word in ["\u0120comfortably", "warfare", "\u00e4\u00bd\u0142\u00e5\u00a5\u00bd", "'re", "1684"]:
            vocabulary.setdefault(word, len(vocabulary))
        for entry in file["added_tokens"]:
            entry["id"] += len(vocabulary) - first
        for step in file["post_processor"]["processors"]:
            for entry in step.get("special_tokens", {}).values():
                entry["ids"] = [start + len(vocabulary) - first]

    yield "llama3", llama3, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|eot_id|>",
        "clean_up_tokenization_spaces": True,
    }, 1, 0, whole_words

    gpt2 = byte_level(level(add_prefix_space=False), special=["<|endoftext|>"])

    def strings(file):
        file["model"]["merges"] = [" ".join(merge) for merge in file["model"]["merges"]]

    yield "gpt2", gpt2, {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": "<|endoftext|>",
        "eos_token": "<|endoftext|>",
    }, 0, 0, strings

    tekken = pre_tokenizers.Sequence([split(TEKKEN), level(add_prefix_space=False, use_regex=False)])
    tekken = byte_level(tekken, special=["<unk>", "<s>", "</s>", "[INST]", "[/INST]"], ignore_merges=True)
    tekken.post_processor = template("<s>", 1, [("</s>", 2)])
    yield "tekken", tekken, {
        "tokenizer_class": "TokenizersBackend",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
    }, 1, 1, None

    prepend = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    llama2 = spaced(prepend, None, llama_decoder(), byte_fallback=True, fuse_unk=True)
    yield "llama2-prepend", llama2, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "add_bos_token": False,
    }, 1, 0, None
    first = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    llama2 = spaced(None, first, llama_decoder(), byte_fallback=True, fuse_unk=True)
    yield "llama2-metaspace", llama2, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }, 1, 0, None
    always = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    unknown = spaced(None, always, decoders.Metaspace(prepend_scheme="always"), fuse_unk=False)
    yield "unknown-pieces", unknown, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }, 1, 0, None
    never = pre_tokenizers.Metaspace(prepend_scheme="never", split=True)
    fused = spaced(None, never, decoders.Metaspace(prepend_scheme="never"), fuse_unk=True)
    yield "fused-unknown", fused, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "split_special_tokens": True,
    }, 1, 0, None

    steps = [
        pre_tokenizers.Split(Regex(r"[\r\n]"), "merged_with_previous"),
        pre_tokenizers.Split("--", "merged_with_next"),
        pre_tokenizers.Split(Regex(r"\s\s+"), "removed"),
        pre_tokenizers.Split(Regex(r"[.,!?]"), "contiguous"),
        pre_tokenizers.Split(Regex(r"\w+"), "isolated", invert=True),
        pre_tokenizers.Digits(),
        level(add_prefix_space=True, use_regex=True),
    ]
    normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace("\u2581", "_"), normalizers.Replace(Regex("(?i:un)"), "<un>")]
    )
    odd = byte_level(pre_tokenizers.Sequence(steps), normalizer, special=["<s>"])
    odd.add_tokens(
        [
            AddedToken("<left>", lstrip=True, normalized=False),
            AddedToken("<right>", rstrip=True),
            AddedToken("<both>", lstrip=True, rstrip=True),
            AddedToken("<word>", single_word=True, normalized=False),
            AddedToken("<norm\u0301>"),
            AddedToken("\u00e9<norm>"),
            AddedToken("aab"),
            AddedToken("aa"),
            AddedToken("<id_1>"),
            AddedToken("<id_10>"),
            AddedToken("\u4f60\u597d", single_word=True),
            AddedToken("<|im_end|>", lstrip=True, special=True),
        ]
    )
    yield "odd-steps", odd, {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": "<pad>",
        "cls_token": "<|im_start|>",
        "extra_special_tokens": ["<id_100>"],
    }, 0, 0, None


def write_family(folder, tokenizer, config, change):
    """The files of a tokenizer folder."""
    folder.mkdir(parents=True)
    file = json.loads(tokenizer.to_str())
    if change:
        change(file)
    (folder / "tokenizer.json").write_text(
        json.dumps(file, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    base.write_json(folder / "tokenizer_config.json", config)
    base.write_json(folder / "config.json", {"model_type": "llama"})


def main():
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    if GOLDENS.exists():
        shutil.rmtree(GOLDENS)
    GOLDENS.mkdir(parents=True)
    base.write_json(GOLDENS / "fragments.json", {"seed": base.SEED, "fragments": base.FRAGMENTS})
    for name, tokenizer, config, before, after, change in families():
        folder = GOLDENS / "tokenizers" / name
        write_family(folder, tokenizer, config, change)
        loaded = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        entry = base.golden(name, loaded, MANY)
        entry["versions"] = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
        entry["size"] = max(loaded.get_vocab().values()) + 1
        if before:  # whether or not a bos_token is named
            entry["bos_id"] = loaded("")["input_ids"][0]
        for key in ("bos_id", "eos_id"):
            entry[key] = -1 if entry[key] is None else entry[key]
        for case in entry["cases"]:
            case.update(before=before, after=after)
        base.write_golden(GOLDENS / f"{name}.json", entry)
        print(name, type(loaded).__name__, entry["size"], sum(f.stat().st_size for f in folder.iterdir()))


if __name__ == "__main__":
    main()
