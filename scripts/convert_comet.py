#!/usr/bin/env python3
"""Converts an unbabel-comet checkpoint to the folder that templora reads.

    python scripts/convert_comet.py MODEL OUT [--encoder ENCODER]

MODEL    a folder with hparams.yaml and checkpoints/model.ckpt, as wmt22-comet-da is published, or such a .ckpt
OUT      the folder to write: config.json, model.safetensors, sentencepiece.bpe.model
ENCODER  the folder of the pretrained encoder (xlm-roberta-large for wmt22-comet-da), of which only config.json and
         sentencepiece.bpe.model are read; without it the folder that the checkpoint names, if it is one

Needs Python 3 and torch. The checkpoint is a pickle, read with torch.load(weights_only=True), which takes tensors
and plain values and never runs code from the file. Weights become float32; --dtype float16 or bfloat16 halves the
file where the difference does not matter.
"""

import argparse
import ctypes
import json
import os
import re
import shutil
import struct
import sys
import zipfile
from pathlib import Path

import torch

PIECES = "sentencepiece.bpe.model"
DTYPES = {"float32": (torch.float32, "F32"), "float16": (torch.float16, "F16"), "bfloat16": (torch.bfloat16, "BF16")}
# XLMRobertaConfig's
ENCODER_DEFAULTS = {"hidden_act": "gelu", "position_embedding_type": "absolute", "pad_token_id": 1}
ENCODER_KEYS = ["model_type", "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers",
                "num_attention_heads", "max_position_embeddings", "type_vocab_size", "layer_norm_eps",
                *ENCODER_DEFAULTS]
# Defaults of unbabel-comet 2.2.7's RegressionMetric for settings that an older checkpoint does not hold.
METRIC_DEFAULTS = {"pool": "avg", "layer": "mix", "layer_norm": True, "layer_transformation": "softmax",
                   "hidden_sizes": [3072, 1024], "activations": "Tanh", "final_activation": None,
                   "encoder_model": "XLM-RoBERTa", "class_identifier": "regression_metric"}
# In a checkpoint, but not part of the function: buffers of dropout and of positions, an unused pooler, metrics.
LEFT_OUT = re.compile(r"layerwise_attention\.dropout_(mask|fill)$|\.position_ids$|\.token_type_ids$|"
                      r"^encoder\.model\.pooler\.|^(train|val)_metrics\.")


class Refused(Exception):
    pass


def read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refused(f"{path}: cannot be read ({error.strerror}), wanted the encoder's; name its folder with "
                      "--encoder")
    except ValueError as error:
        raise Refused(f"{path}: not valid JSON ({error})")
    if not isinstance(found, dict):
        raise Refused(f"{path}: got no JSON object, wanted one")
    return found


def find_checkpoint(model: Path) -> Path:
    if not model.is_dir():
        return model
    for name in ["checkpoints/model.ckpt", "model.ckpt"]:
        if (model / name).is_file():
            return model / name
    raise Refused(f"{model}: holds no checkpoints/model.ckpt, wanted the folder of an unbabel-comet model")


def load_checkpoint(path: Path) -> dict:
    try:
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError:
        raise Refused(f"{path}: no such file, wanted a checkpoint of unbabel-comet")
    except Exception as error:  # torch raises many kinds; whatever it is, nothing of the file was run
        reason = " ".join(str(error).split()).split(". ")[0][:160]
        raise Refused(f"{path}: cannot be loaded as plain weights ({reason}); is it whole? A checkpoint with other "
                      "objects in it "
                      "has to be saved anew by unbabel-comet as {'state_dict': …, 'hyper_parameters': …}")
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise Refused(f"{path}: has no state_dict, wanted a checkpoint of unbabel-comet")
    return found


def hparams_line(checkpoint: Path, key: str):
    """A plain top-level value of hparams.yaml, which lies where load_from_checkpoint looks; None without one."""
    path = checkpoint.parent.parent / "hparams.yaml"
    if not path.is_file():
        return None
    match = re.search(rf"^{key}:[ \t]*([\w.-]+)[ \t]*$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return match and match.group(1)


def metric_settings(checkpoint: Path, hyper: dict) -> dict:
    """The settings as load_from_checkpoint applies them: the checkpoint's, hparams.yaml for two exceptions."""
    settings = {key: hyper.get(key, default) for key, default in METRIC_DEFAULTS.items()}
    settings["class_identifier"] = hparams_line(checkpoint, "class_identifier") or settings["class_identifier"]
    # unbabel-comet ≥ 2.2.4 computes a softmax where hparams.yaml says sparsemax_patch, and takes every name but
    # sparsemax for a softmax anyway.
    patched = hparams_line(checkpoint, "layer_transformation") == "sparsemax_patch"
    if patched or settings["layer_transformation"] != "sparsemax":
        settings["layer_transformation"] = "softmax"
    for key in ["activations", "final_activation"]:
        settings[key] = settings[key].title() if isinstance(settings[key], str) else settings[key]
    wanted = {"class_identifier": "regression_metric", "encoder_model": "XLM-RoBERTa", "pool": "avg", "layer": "mix",
              "layer_norm": False}
    for key, value in wanted.items():
        if settings[key] != value:
            raise Refused(f"{checkpoint}: {key}: got {settings[key]!r}, wanted {value!r}: templora computes no other "
                          "kind")
    del settings["encoder_model"]
    return settings


def encoder_settings(encoder: Path) -> dict:
    found = {**ENCODER_DEFAULTS, **read_json(encoder / "config.json")}
    absent = [key for key in ENCODER_KEYS if key not in found]
    if absent:
        raise Refused(f"{encoder / 'config.json'}: {', '.join(absent)}: missing, wanted the config.json of an XLM-R "
                      "encoder")
    return {key: found[key] for key in ENCODER_KEYS}


def wanted_shapes(settings: dict, encoder: dict) -> dict:
    """Name and shape of every tensor of the network."""
    hidden, ffn = encoder["hidden_size"], encoder["intermediate_size"]
    root = "encoder.model."
    shapes = {root + "embeddings.word_embeddings.weight": [encoder["vocab_size"], hidden],
              root + "embeddings.position_embeddings.weight": [encoder["max_position_embeddings"], hidden],
              root + "embeddings.token_type_embeddings.weight": [encoder["type_vocab_size"], hidden]}
    norms, dense = [root + "embeddings.LayerNorm"], {}
    for i in range(encoder["num_hidden_layers"]):
        layer = f"{root}encoder.layer.{i}."
        for name in ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]:
            dense[layer + name] = [hidden, hidden]
        dense[layer + "intermediate.dense"], dense[layer + "output.dense"] = [ffn, hidden], [hidden, ffn]
        norms += [layer + "attention.output.LayerNorm", layer + "output.LayerNorm"]
    sizes = [6 * hidden, *settings["hidden_sizes"], 1]
    for i, (of, to) in enumerate(zip(sizes, sizes[1:])):
        dense[f"estimator.ff.{3 * i}"] = [to, of]
    for name, shape in dense.items():
        shapes[name + ".weight"], shapes[name + ".bias"] = shape, shape[:1]
    for name in norms:
        shapes[name + ".weight"] = shapes[name + ".bias"] = [hidden]
    for i in range(encoder["num_hidden_layers"] + 1):
        shapes[f"layerwise_attention.scalar_parameters.{i}"] = [1]
    shapes["layerwise_attention.gamma"] = [1]
    return shapes


def checked_tensors(path: Path, state: dict, wanted: dict) -> dict:
    """The tensors of the network; everything missing, extra or misshapen is reported at once."""
    state = {name: tensor for name, tensor in state.items() if not LEFT_OUT.search(name)}
    problems = []

    def add(names, what):
        if names:
            problems.append(f"{len(names)} {what}: {', '.join(names[:6])}{', ...' if len(names) > 6 else ''}")

    add([name for name in wanted if name not in state], "missing")
    add([f"{name} has {list(state[name].shape)}, wanted {shape}" for name, shape in wanted.items()
         if name in state and list(state[name].shape) != shape], "of the wrong shape")
    add([name for name in wanted if name in state and not state[name].is_floating_point()], "not floating-point")
    add([name for name in state if name not in wanted], "unknown")
    if problems:
        raise Refused(f"{path}: {'; '.join(problems)}; does --encoder name the encoder of this checkpoint?")
    return {name: state[name] for name in wanted}


def write_safetensors(path: Path, tensors: dict, dtype: str) -> None:
    torch_dtype, name_of_dtype = DTYPES[dtype]
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in sorted(tensors.items()):
        size = tensor.numel() * torch_dtype.itemsize
        header[name] = {"dtype": name_of_dtype, "shape": list(tensor.shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in sorted(tensors.items()):
            plain = tensor.detach().to(torch_dtype).contiguous()
            file.write((ctypes.c_char * (plain.numel() * plain.element_size())).from_address(plain.data_ptr()))


def convert(model: Path, out: Path, encoder: Path | None, dtype: str) -> None:
    checkpoint = find_checkpoint(model)
    loaded = load_checkpoint(checkpoint)
    hyper = loaded.get("hyper_parameters")
    hyper = hyper if isinstance(hyper, dict) else {}
    encoder = encoder or Path(str(hyper.get("pretrained_model", "")))
    if not (encoder / PIECES).is_file():
        raise Refused(f"{encoder / PIECES}: no such file; get config.json and {PIECES} of the encoder "
                      f"({hyper.get('pretrained_model', 'xlm-roberta-large')}) and name their folder with --encoder")
    settings, sizes = metric_settings(checkpoint, hyper), encoder_settings(encoder)
    tensors = checked_tensors(checkpoint, loaded["state_dict"], wanted_shapes(settings, sizes))
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        config = {**settings, "encoder": sizes}
        (part / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        shutil.copyfile(encoder / PIECES, part / PIECES)
        write_safetensors(part / "model.safetensors", tensors, dtype)
        os.rename(part, out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    count = sum(tensor.numel() for tensor in tensors.values())
    print(f"{out}: {len(tensors)} tensors, {count:,} weights, {settings['layer_transformation']} over the layers")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--encoder", type=Path)
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    arguments = parser.parse_args()
    try:
        if arguments.out.exists():
            raise Refused(f"{arguments.out}: is there already, wanted a new folder; remove it or name another")
        convert(arguments.model, arguments.out, arguments.encoder, arguments.dtype)
    except Refused as error:
        print(f"convert_comet: {error}", file=sys.stderr)
        return 3
    except OSError as error:
        print(f"convert_comet: {error.filename}: {error.strerror}", file=sys.stderr)
        return 4
    return 0


if __name__ == "__main__":
    sys.exit(main())
