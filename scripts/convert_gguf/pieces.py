"""The tokenizer of a GGUF file, as the folder of the original has it.

A GGUF file holds tokens, their kinds, and merges or scores. How text is split before that is a name,
tokenizer.ggml.pre, which stands for code; PRE_TOKENIZERS says what Hugging Face's tokenizer.json has for it. Names not
in it are refused.
"""

import json

import numpy as np

from .errors import Refused, printable

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
NAMED = {"bos_token": "bos_token_id", "eos_token": "eos_token_id", "unk_token": "unknown_token_id",
         "pad_token": "padding_token_id", "sep_token": "seperator_token_id", "mask_token": "mask_token_id"}

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = _WORDS + r"\p{N}" + _REST
LLAMA3 = _WORDS + r"\p{N}{1,3}" + _REST
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
          r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def byte_level(use_regex):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}


def split_by(pattern):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}, byte_level(False)]}


GPT2_LIKE = {"pre_tokenizer": byte_level(True)}
DIGITS_FIRST = {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
    {"type": "Digits", "individual_digits": True}, byte_level(True)]}}
LLAMA3_LIKE = {"pre_tokenizer": split_by(LLAMA3), "ignore_merges": True, "bos": True}
# "bos": whether llama.cpp adds BOS where the file has no tokenizer.ggml.add_bos_token.
PRE_TOKENIZERS = {
    "gpt-2": GPT2_LIKE, "default": GPT2_LIKE,
    "smollm": DIGITS_FIRST, "starcoder": DIGITS_FIRST, "refact": DIGITS_FIRST,
    "qwen2": {"pre_tokenizer": split_by(QWEN2), "normalizer": {"type": "NFC"}},
    "llama-bpe": LLAMA3_LIKE, "llama3": LLAMA3_LIKE, "llama-v3": LLAMA3_LIKE,
    "tekken": {"pre_tokenizer": split_by(TEKKEN), "ignore_merges": True, "bos": True},
}


class Vocabulary:
    """Tokens and kinds of the file, checked: as many kinds as tokens, no token twice, at most `rows`."""

    def __init__(self, file, rows):
        self.file = file
        self.tokens = file.need("tokenizer.ggml.tokens", list)
        kinds = file.get("tokenizer.ggml.token_type", np.ndarray)
        self.kinds = [NORMAL] * len(self.tokens) if kinds is None else kinds.tolist()
        if len(self.kinds) != len(self.tokens):
            self.refuse("token_type", f"{len(self.kinds)} values", f"{len(self.tokens)}, one for each token")
        if len(self.tokens) > rows:
            self.refuse("tokens", f"{len(self.tokens)} tokens", f"at most {rows}, the rows of the embedding")
        # Rows that no token has are filled up with names of their own.
        while self.tokens and self.kinds[-1] == UNUSED and self.tokens[-1] == f"[PAD{len(self.tokens) - 1}]":
            self.tokens.pop(), self.kinds.pop()
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self.ids) != len(self.tokens):
            twice = next(token for i, token in enumerate(self.tokens) if self.ids[token] != i)
            self.refuse("tokens", f"{printable(twice)} twice", "each token once")
        if "" in self.ids:
            self.refuse("tokens", "an empty token", "at least one character")
        self.named = {}
        for name, key in NAMED.items():
            token = file.get(f"tokenizer.ggml.{key}", int)
            ends = name in ("bos_token", "eos_token")
            if token is None:
                continue
            if not 0 <= token < len(self.tokens):
                if ends:
                    self.refuse(key, token, f"below {len(self.tokens)}, the number of tokens")
            elif ends or kinds is None or self.kinds[token] != NORMAL:  # a padding of "!" would make each "!" special
                self.named[name] = token

    def refuse(self, key, got, wanted):
        raise Refused(f"{self.file.path}: tokenizer.ggml.{key}: got {printable(got)}, wanted {wanted}")

    def flag(self, name, default):
        return self.file.get(f"tokenizer.ggml.{name}", bool, default)

    def added(self):
        """Tokens found in text before anything else: {id: added token as tokenizer.json has it}."""
        special = {*self.named.values(), *(i for i, kind in enumerate(self.kinds) if kind in (CONTROL, UNKNOWN))}
        ids = sorted(special | {i for i, kind in enumerate(self.kinds) if kind == USER_DEFINED})
        rules = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        return {i: {"content": self.tokens[i], **rules, "special": i in special} for i in ids}


def read_pre(file):
    name = file.get("tokenizer.ggml.pre", str)
    if name not in PRE_TOKENIZERS:
        raise Refused(f"{file.path}: tokenizer.ggml.pre: got {printable(name) if name else 'nothing'}, wanted one of "
                      f"{', '.join(sorted(PRE_TOKENIZERS))}: how this tokenizer splits text is not known here")
    return PRE_TOKENIZERS[name]


def read_merges(vocabulary):
    pairs = []
    for merge in vocabulary.file.need("tokenizer.ggml.merges", list):
        parts = merge.split(" ")
        if len(parts) != 2 or not all(token in vocabulary.ids for token in [*parts, "".join(parts)]):
            vocabulary.refuse("merges", printable(merge), "two tokens, one space between, that make a third")
        pairs.append(parts)
    return pairs


def template(token, ids):
    """BOS before the text, as Llama 3's tokenizer.json has it."""
    def text(name, kind):
        return [{"SpecialToken": {"id": token, "type_id": kind}}, {"Sequence": {"id": name, "type_id": kind}}]
    return {"type": "TemplateProcessing", "single": text("A", 0), "pair": text("A", 0) + text("B", 1),
            "special_tokens": {token: {"id": token, "ids": [ids[token]], "tokens": [token]}}}


def byte_level_files(vocabulary, pre, add_bos):
    """{"tokenizer.json": …} of a byte-level BPE."""
    added = vocabulary.added()
    after = byte_level(True)
    if add_bos:
        bos = template(vocabulary.tokens[vocabulary.named["bos_token"]], vocabulary.ids)
        after = {"type": "Sequence", "processors": [byte_level(False), bos]}
    return {"tokenizer.json": {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, **token} for i, token in added.items()],
        "normalizer": pre.get("normalizer"), "pre_tokenizer": pre["pre_tokenizer"], "post_processor": after,
        "decoder": byte_level(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": pre.get("ignore_merges", False), "vocab": vocabulary.ids,
                  "merges": read_merges(vocabulary)}}}


def sentencepiece_files(vocabulary):
    """{"tokenizer.model": …}: the sentencepiece model whose tokens and scores the file holds."""
    from sentencepiece import sentencepiece_model_pb2
    scores = vocabulary.file.need("tokenizer.ggml.scores", np.ndarray)
    if len(scores) < len(vocabulary.tokens):
        vocabulary.refuse("scores", f"{len(scores)} values", f"{len(vocabulary.tokens)}, one for each token")
    model = sentencepiece_model_pb2.ModelProto()
    for token, score, kind in zip(vocabulary.tokens, scores.tolist(), vocabulary.kinds):
        if not NORMAL <= kind <= BYTE or not np.isfinite(score):
            vocabulary.refuse("token_type", f"{kind} with score {score} for {printable(token)}", "1 to 6 with a number")
        model.pieces.add(piece=token, score=score, type=kind)
    if [kind for kind in vocabulary.kinds if kind == UNKNOWN] != [UNKNOWN]:
        vocabulary.refuse("token_type", f"{vocabulary.kinds.count(UNKNOWN)} unknown tokens", "one")
    train, normal = model.trainer_spec, model.normalizer_spec
    train.model_type, train.vocab_size = train.BPE, len(vocabulary.tokens)
    train.byte_fallback = BYTE in vocabulary.kinds
    train.unk_id = vocabulary.kinds.index(UNKNOWN)
    train.bos_id, train.eos_id = vocabulary.named.get("bos_token", -1), vocabulary.named.get("eos_token", -1)
    train.pad_id = -1
    normal.name, normal.remove_extra_whitespaces = "identity", vocabulary.flag("remove_extra_whitespaces", False)
    normal.add_dummy_prefix, normal.escape_whitespaces = vocabulary.flag("add_space_prefix", True), True
    return {"tokenizer.model": model.SerializeToString(deterministic=True)}


def tokenizer_files(file, rows, positions):
    """What the folder gets: {name: JSON object or bytes}. `rows` of the embedding, `positions` of the model."""
    kind = file.need("tokenizer.ggml.model", str)
    vocabulary = Vocabulary(file, rows)
    config = {"added_tokens_decoder": {str(i): token for i, token in vocabulary.added().items()},
              "clean_up_tokenization_spaces": False, "model_max_length": positions}
    if kind == "gpt2":
        pre = read_pre(file)
        add_bos = vocabulary.flag("add_bos_token", pre.get("bos", False))
    elif kind == "llama":
        pre, add_bos = None, vocabulary.flag("add_bos_token", True)
    else:
        vocabulary.refuse("model", kind, "gpt2 (byte-level BPE) or llama (sentencepiece BPE)")
    if add_bos and "bos_token" not in vocabulary.named:
        vocabulary.refuse("add_bos_token", "true", "false, or a bos_token_id")
    if vocabulary.flag("add_eos_token", False):
        vocabulary.refuse("add_eos_token", "true", "false: no text ends with EOS here")
    files = byte_level_files(vocabulary, pre, add_bos) if pre else sentencepiece_files(vocabulary)
    config |= {"add_bos_token": add_bos, "add_eos_token": False,
               "tokenizer_class": "PreTrainedTokenizerFast" if pre else "LlamaTokenizer"}
    if not pre:
        config |= {"legacy": True, "add_prefix_space": vocabulary.flag("add_space_prefix", True)}
    config |= {name: vocabulary.tokens[i] for name, i in vocabulary.named.items()}
    chat = file.get("tokenizer.chat_template", str)
    if chat is not None:
        config["chat_template"] = chat
    return {**files, "tokenizer_config.json": dict(sorted(config.items()))}, vocabulary.named


def as_bytes(content):
    """What is written of a value of `tokenizer_files`."""
    if isinstance(content, bytes):
        return content
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode()
