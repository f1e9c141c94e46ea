#!/usr/bin/env python3
"""Makes a small random Llama that stands in for a trained one: make_standin_model.py [FOLDER].

Standard library only, and the same bytes everywhere: a fixed seed and sums of uniform numbers instead of
a library's normal distribution. The tokenizer is that of models/small-6m.

Sizes: vocabulary 4,096, hidden 128, 4 layers, 4 heads of 32 with 2 key/value heads, ffn 352: 1.8 M weights,
7.1 MB in float32. Scales: the embedding is small (0.02) beside what an adapter can add to the residual
stream, and the head larger (0.05): the untouched model is close to uniform over the vocabulary, while a
turn of the last hidden state by an adapter moves logits by several nats, so learning shows.
"""

import array
import json
import os
import random
import shutil
import struct
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEED = 20240121
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 4096,
    "hidden_size": 128,
    "intermediate_size": 352,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "hidden_act": "silu",
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "torch_dtype": "float32",
}
EMBEDDING_STD, HEAD_STD, LAYER_STD = 0.02, 0.05, 0.02


def random_values(generator, count, std):
    """count float32 numbers of mean 0: each the sum of four 16-bit uniform ones, which is near enough normal."""
    bits = array.array("H")
    bits.frombytes(generator.randbytes(8 * count))
    if sys.byteorder == "big":
        bits.byteswap()
    scale = std / (65536 * (4 / 12) ** 0.5)
    center = 4 * 65535 / 2
    return array.array("f", [(a + b + c + d - center) * scale
                             for a, b, c, d in zip(bits[0::4], bits[1::4], bits[2::4], bits[3::4])])


def tensors(config):
    """(name, shape, std) in file order; std None means ones."""
    hidden, ffn = config["hidden_size"], config["intermediate_size"]
    kv = config["num_key_value_heads"] * config["head_dim"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden), EMBEDDING_STD
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,), None
        yield prefix + "self_attn.q_proj.weight", (hidden, hidden), LAYER_STD
        yield prefix + "self_attn.k_proj.weight", (kv, hidden), LAYER_STD
        yield prefix + "self_attn.v_proj.weight", (kv, hidden), LAYER_STD
        yield prefix + "self_attn.o_proj.weight", (hidden, hidden), LAYER_STD
        yield prefix + "post_attention_layernorm.weight", (hidden,), None
        yield prefix + "mlp.gate_proj.weight", (ffn, hidden), LAYER_STD
        yield prefix + "mlp.up_proj.weight", (ffn, hidden), LAYER_STD
        yield prefix + "mlp.down_proj.weight", (hidden, ffn), LAYER_STD
    yield "model.norm.weight", (hidden,), None
    yield "lm_head.weight", (config["vocab_size"], hidden), HEAD_STD


def write_safetensors(path, config):
    """8 bytes of header length, the JSON header, the data; little-endian float32."""
    generator = random.Random(SEED)
    header, data = {"__metadata__": {"format": "pt"}}, bytearray()
    for name, shape, std in tensors(config):
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        values = array.array("f", [1.0]) * count if std is None else random_values(generator, count, std)
        if sys.byteorder == "big":
            values.byteswap()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data) + 4 * count]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else os.path.join(REPOSITORY, "build", "standin-model")
    # Written beside its place and moved there whole, so that nobody reads half a model.
    new = f"{folder}.{os.getpid()}"
    os.makedirs(new)
    try:
        for name in ("tokenizer.model", "tokenizer_config.json"):
            shutil.copyfile(os.path.join(REPOSITORY, "models", "small-6m", name), os.path.join(new, name))
        generation = {"bos_token_id": CONFIG["bos_token_id"], "eos_token_id": CONFIG["eos_token_id"]}
        for name, content in (("config.json", CONFIG), ("generation_config.json", generation)):
            with open(os.path.join(new, name), "w", encoding="utf-8") as file:
                json.dump(content, file, indent=2)
                file.write("\n")
        write_safetensors(os.path.join(new, "model.safetensors"), CONFIG)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
