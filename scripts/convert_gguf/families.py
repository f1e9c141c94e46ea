"""What a Llama, Qwen 2 or Qwen 3 of a GGUF file is: its tensors by both names, and config.json."""

from dataclasses import dataclass, field

import numpy as np

from .errors import Refused, printable

FAMILIES = {"llama": "LlamaForCausalLM", "qwen2": "Qwen2ForCausalLM", "qwen3": "Qwen3ForCausalLM"}
MOST_LAYERS = 1024
# Keys below the architecture's name that are read here or say nothing of the arithmetic. Others are refused by name.
READ = {"block_count", "context_length", "embedding_length", "feed_forward_length", "vocab_size",
        "attention.head_count", "attention.head_count_kv", "attention.key_length", "attention.value_length",
        "attention.layer_norm_rms_epsilon",
        "rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor",
        "rope.scaling.original_context_length", "rope.scaling.finetuned", "rope.scale_linear", "attention.causal",
        "tensor_data_layout", "expert_count", "expert_used_count"}
IN_LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
            "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
            "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
            "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


@dataclass
class Source:
    """A tensor of the file for one of the folder. `pairs` > 0: the rows of that many heads are stored with the two
    halves of each rotated pair side by side, as llama.cpp wants a Llama's q and k."""

    stored: str
    shape: tuple
    pairs: int = 0


@dataclass
class Family:
    config: dict
    tensors: dict = field(default_factory=dict)  # Hugging Face name → Source
    factors: str = ""                            # the file's tensor of rotary factors, or ""


def decimal(number):
    """The shortest decimal that means the same float32: 1e-05 for 9.999999747378752e-06."""
    return float(str(np.float32(number)))


class Reader:
    """Keys below the architecture's name."""

    def __init__(self, file):
        self.file = file
        self.arch = file.need("general.architecture", str)
        if self.arch not in FAMILIES:
            raise Refused(f"{file.path}: general.architecture: got {printable(self.arch)}, wanted one of "
                          f"{', '.join(FAMILIES)}")
        own = sorted(key for key in file.keys if key.startswith(self.arch + "."))
        unknown = [key for key in own if key[len(self.arch) + 1:] not in READ]
        if unknown:
            raise Refused(f"{file.path}: {printable(unknown[0])}: not known here, and it may change what the model "
                          "computes")

    def get(self, name, kind, default=None):
        return self.file.get(f"{self.arch}.{name}", kind, default)

    def refuse(self, name, got, wanted):
        raise Refused(f"{self.file.path}: {self.arch}.{name}: got {printable(got)}, wanted {wanted}")

    def size(self, name, default=None, most=1 << 24):
        value = self.get(name, int, default)
        if value is None:
            raise Refused(f"{self.file.path}: {self.arch}.{name}: missing, wanted a whole number")
        if not 1 <= value <= most:
            self.refuse(name, value, f"1 to {most}")
        return value


def family_of(file):
    """Config and tensors. Raises Refused with all tensors that are missing, extra or misshapen in one line."""
    read = Reader(file)
    if file.get("split.count", int, 1) > 1:
        raise Refused(f"{file.path}: one of {file.keys['split.count']} files of a split model; merge them with "
                      "gguf-split --merge first")
    if read.get("expert_count", int, 0) > 0:
        read.refuse("expert_count", read.get("expert_count", int), "0: mixtures of experts are not converted")
    if not read.get("attention.causal", bool, True):
        read.refuse("attention.causal", False, "true")
    layers, hidden = read.size("block_count", most=MOST_LAYERS), read.size("embedding_length")
    heads = read.size("attention.head_count", most=1 << 16)
    kv_heads = read.size("attention.head_count_kv", heads, 1 << 16)
    head_dim = read.size("attention.key_length", hidden // heads)
    for name in ["attention.value_length", "rope.dimension_count"]:
        if read.size(name, head_dim) != head_dim:
            read.refuse(name, read.size(name), f"{head_dim}, the size of a head")
    if heads % kv_heads or head_dim % 2:
        read.refuse("attention.head_count", heads, f"a multiple of head_count_kv ({kv_heads}), heads of an even size")
    embedding = file.tensors.get("token_embd.weight")
    vocab = embedding.shape[0] if embedding and len(embedding.shape) == 2 else read.size("vocab_size")
    if read.size("vocab_size", vocab) != vocab:
        read.refuse("vocab_size", read.size("vocab_size"), f"{vocab}, the rows of token_embd.weight")
    config = {
        "architectures": [FAMILIES[read.arch]], "model_type": read.arch, "vocab_size": vocab, "hidden_size": hidden,
        "intermediate_size": read.size("feed_forward_length"), "num_hidden_layers": layers,
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim, "hidden_act": "silu",
        "max_position_embeddings": read.size("context_length", most=1 << 31),
        "rms_norm_eps": decimal(read.get("attention.layer_norm_rms_epsilon", float, 1e-5)),
        "rope_theta": decimal(read.get("rope.freq_base", float, 10000.0)), "rope_scaling": rope_scaling(read),
        "tie_word_embeddings": "output.weight" not in file.tensors, "use_cache": True,
    }
    if read.arch == "qwen2":
        config.pop("head_dim")  # Qwen 2 has none of its own
        if head_dim * heads != hidden:
            read.refuse("attention.key_length", head_dim, f"{hidden // heads}: a Qwen 2 has no other size of a head")
        config["use_sliding_window"] = False
    else:
        config["attention_bias"] = "blk.0.attn_q.bias" in file.tensors
    if read.arch == "llama":
        config["mlp_bias"] = "blk.0.ffn_gate.bias" in file.tensors
    found = Family(config, wanted_tensors(config, head_dim))
    if read.arch == "llama" and "rope_freqs.weight" in file.tensors:
        found.factors = "rope_freqs.weight"
        if config["rope_scaling"]:
            read.refuse("rope.scaling.type", config["rope_scaling"]["rope_type"], "none beside rope_freqs.weight")
        config["rope_scaling"] = llama3_scaling(file, config, head_dim)
    check_tensors(file, found)
    return found


def wanted_tensors(config, head_dim):
    arch, hidden, ffn = config["model_type"], config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    wide, narrow = heads * head_dim, kv_heads * head_dim
    shapes = {"attn_q": (wide, hidden), "attn_k": (narrow, hidden), "attn_v": (narrow, hidden),
              "attn_output": (hidden, wide), "ffn_gate": (ffn, hidden), "ffn_up": (ffn, hidden),
              "ffn_down": (hidden, ffn)}
    biased = {"attn_q", "attn_k", "attn_v"} if arch == "qwen2" else set()
    if config.get("attention_bias"):
        biased = {"attn_q", "attn_k", "attn_v", "attn_output"}
    if config.get("mlp_bias"):
        biased |= {"ffn_gate", "ffn_up", "ffn_down"}
    norms = {"attn_norm": hidden, "ffn_norm": hidden}
    if arch == "qwen3":
        norms |= {"attn_q_norm": head_dim, "attn_k_norm": head_dim}
    pairs = {"attn_q": heads, "attn_k": kv_heads} if arch == "llama" else {}
    rows = (config["vocab_size"], hidden)
    found = {"model.embed_tokens.weight": Source("token_embd.weight", rows)}
    for i in range(config["num_hidden_layers"]):
        here = f"model.layers.{i}."
        for name, size in norms.items():
            found[f"{here}{IN_LAYER[name]}.weight"] = Source(f"blk.{i}.{name}.weight", (size,))
        for name, shape in shapes.items():
            found[f"{here}{IN_LAYER[name]}.weight"] = Source(f"blk.{i}.{name}.weight", shape, pairs.get(name, 0))
            if name in biased:
                found[f"{here}{IN_LAYER[name]}.bias"] = Source(f"blk.{i}.{name}.bias", shape[:1], pairs.get(name, 0))
    found["model.norm.weight"] = Source("output_norm.weight", (hidden,))
    if not config["tie_word_embeddings"]:
        found["lm_head.weight"] = Source("output.weight", rows)
    return found


def check_tensors(file, found):
    wanted = {source.stored: source.shape for source in found.tensors.values()}
    problems = [f"{name} missing" for name in wanted if name not in file.tensors]
    problems += [f"{name} has {list(file.tensors[name].shape)}, wanted {list(shape)}" for name, shape in wanted.items()
                 if name in file.tensors and file.tensors[name].shape != shape]
    problems += [f"no place for {printable(name)}" for name in file.tensors if name not in {*wanted, found.factors}]
    if problems:
        more = f"; {len(problems) - 4} more" if len(problems) > 4 else ""
        raise Refused(f"{file.path}: tensors do not fit a {found.config['model_type']}: "
                      f"{'; '.join(problems[:4])}{more}")


def rope_scaling(read):
    kind = read.get("rope.scaling.type", str, "none")
    factor = read.get("rope.scaling.factor", float, read.get("rope.scale_linear", float, 1.0))
    if kind == "none" or factor == 1 and kind == "linear":
        if factor not in (0, 1):
            read.refuse("rope.scaling.factor", factor, "1, or a rope.scaling.type")
        return None
    if kind not in ("linear", "yarn"):
        read.refuse("rope.scaling.type", kind, "none, linear or yarn")
    found = {"rope_type": kind, "factor": decimal(factor)}
    if kind == "yarn":
        found["original_max_position_embeddings"] = read.size("rope.scaling.original_context_length", most=1 << 31)
    return found


def llama3_scaling(file, config, head_dim):
    """The rope_scaling of which rope_freqs.weight was computed; the file holds its factors alone.

    Llama 3.1's and 3.2's low_freq_factor 1, high_freq_factor 4 and 8,192 positions are tried with the largest factor.
    """
    tensor = file.tensors["rope_freqs.weight"]
    if tensor.shape != (head_dim // 2,):
        raise Refused(f"{file.path}: rope_freqs.weight: has {list(tensor.shape)}, wanted {[head_dim // 2]}")
    stored = file.rows(tensor, 0, 1)[0].astype(np.float64)
    factor, low, high, positions = float(stored.max()), 1.0, 4.0, 8192
    lengths = 2 * np.pi * config["rope_theta"] ** (np.arange(0, head_dim, 2) / head_dim)
    smooth = (positions / lengths - low) / (high - low)
    between = 1 / ((1 - smooth) / factor + smooth) if factor >= 1 else stored * np.nan
    wanted = np.where(lengths < positions / high, 1, np.where(lengths > positions / low, factor, between))
    if not np.allclose(stored, wanted, rtol=1e-4, atol=0):
        raise Refused(f"{file.path}: rope_freqs.weight: is not Llama 3's scaling with factors 1 and 4 over 8192 "
                      "positions")
    return {"rope_type": "llama3", "factor": decimal(factor), "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": positions}
