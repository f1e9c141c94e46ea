"""Models and texts of scripts/same-numbers: small, random, and the same every time. Standard library only."""

import array
import json
import pathlib
import random
import shutil
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOKENIZER = ROOT / "tests/text/goldens/tokenizers/bare/tokenizer.model"
VOCAB, HIDDEN, FFN, LAYERS, HEADS, HEAD_DIM = 460, 32, 48, 4, 2, 16
NOUNS = "fox dog sailor river letter garden doctor winter horse window village bridge captain lamp road".split()
VERBS = "saw left found followed remembered crossed painted lost carried opened".split()


def sentences(seed, count):
    """Few words that come again and again, so that there is something to learn."""
    chance = random.Random(seed)
    pick = lambda words: words[int(chance.random() * len(words))]
    return "".join(f"The {pick(NOUNS)} {pick(VERBS)} the {pick(NOUNS)}, number {int(chance.random() * 90)}.\n"
                   for _ in range(count))


def novel(seed, chunks, pairs):
    """A novel in GuoFeng's format: `chunks` chunks of `pairs` sentence pairs; k1 is the chunk before, k3 all before."""
    chance, before, last, records = random.Random(seed), [], [], []
    for _ in range(chunks):
        chunk = []
        for _ in range(pairs):
            noun, verb = int(chance.random() * len(NOUNS)), int(chance.random() * len(VERBS))
            chunk.append({"zh": f"wen {noun} {verb}。", "en": f"The {NOUNS[noun]} {VERBS[verb]} him."})
        records.append({"contexts": {"k1": last, "k3": before[-12:]}, "inference": chunk})
        before, last = before + chunk, chunk
    return records


def shapes(family):
    """Tensor name → shape, under the Hugging Face names of the family; True where it is a norm."""
    wide, narrow = HEADS * HEAD_DIM, (1 if family != "phi3" else 2) * HEAD_DIM
    found = {"model.embed_tokens.weight": ([VOCAB, HIDDEN], False), "model.norm.weight": ([HIDDEN], True),
             "lm_head.weight": ([VOCAB, HIDDEN], False)}
    for i in range(LAYERS):
        attention, mlp = f"model.layers.{i}.self_attn.", f"model.layers.{i}.mlp."
        if family == "phi3":
            found[attention + "qkv_proj.weight"] = ([wide + 2 * narrow, HIDDEN], False)
            found[mlp + "gate_up_proj.weight"] = ([2 * FFN, HIDDEN], False)
        else:
            for name, rows in {"q": wide, "k": narrow, "v": narrow}.items():
                found[f"{attention}{name}_proj.weight"] = ([rows, HIDDEN], False)
                if family == "qwen2":
                    found[f"{attention}{name}_proj.bias"] = ([rows], False)
            for name in ("gate", "up"):
                found[f"{mlp}{name}_proj.weight"] = ([FFN, HIDDEN], False)
        found[attention + "o_proj.weight"] = ([HIDDEN, wide], False)
        found[mlp + "down_proj.weight"] = ([HIDDEN, FFN], False)
        norms = ["post_attention_layernorm"]
        norms.append("post_feedforward_layernorm" if family in ("olmo2", "olmo3") else "input_layernorm")
        for norm in norms:
            found[f"model.layers.{i}.{norm}.weight"] = ([HIDDEN], True)
        if family in ("qwen3", "olmo2", "olmo3"):
            sizes = {"q": HEAD_DIM, "k": HEAD_DIM} if family == "qwen3" else {"q": wide, "k": narrow}
            for name, size in sizes.items():
                found[f"{attention}{name}_norm.weight"] = ([size], True)
    return found


def packed(values, dtype):
    """Little-endian bytes of F64, F32 or BF16 (cut off, not rounded)."""
    if dtype == "F64":
        return array.array("d", values).tobytes()
    data = array.array("f", values).tobytes()
    return data if dtype == "F32" else b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4))


def make_model(folder, family, dtype="F32", **settings):
    """A random model folder with the tests' plainest tokenizer."""
    folder.mkdir(parents=True)
    chance, header, blobs, at = random.Random(family), {}, [], 0
    for name, (shape, is_norm) in shapes(family).items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        blob = packed([chance.gauss(1.0 if is_norm else 0.0, 0.1) for _ in range(count)], dtype)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    config = {"model_type": family, "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": FFN,
              "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": 2 if family == "phi3"
              else 1,
              "head_dim": HEAD_DIM, "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "hidden_act": "silu",
              "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False, **settings}
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    shutil.copy(TOKENIZER, folder)


def make_inputs(folder):
    """models/, books/ and novels/ in `folder`, which is new."""
    models = folder / "models"
    make_model(models / "llama", "llama", max_position_embeddings=256)
    make_model(models / "llama-f64", "llama", "F64", max_position_embeddings=256)
    make_model(models / "mistral", "mistral", "BF16", sliding_window=20)
    make_model(models / "qwen2", "qwen2", use_sliding_window=True, sliding_window=24, max_window_layers=2)
    make_model(models / "qwen3", "qwen3")
    make_model(models / "olmo2", "olmo2")
    make_model(models / "olmo3", "olmo3", sliding_window=18)
    make_model(models / "phi3", "phi3", sliding_window=30, original_max_position_embeddings=1024)
    make_model(models / "smollm3", "smollm3", no_rope_layer_interval=2)
    make_model(models / "roomy", "llama")
    (folder / "books").mkdir()
    for name, seed, count in (("a", 1, 40), ("b", 2, 30), ("c", 3, 50), ("d", 4, 25), ("short", 5, 2), ("held", 6, 12)):
        (folder / f"books/{name}.txt").write_text(sentences(seed, count))
    (folder / "novels").mkdir()
    for name, seed, chunks in (("a", 1, 4), ("b", 2, 3)):
        (folder / f"novels/{name}.train").write_text(json.dumps(novel(seed, chunks, 3), ensure_ascii=False))
