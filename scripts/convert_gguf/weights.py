"""Writes dequantised tensors as safetensors files, a few rows at a time, so memory stays small whatever the model."""

import hashlib
import json

import numpy as np

from .errors import Refused

STORED_AS = {"float32": ("F32", 4), "float16": ("F16", 2), "bfloat16": ("BF16", 2)}
MOST_OF_FILE = 5_000_000_000  # bytes of one shard, as transformers has it
BYTES_AT_ONCE = 1 << 26


def to_dtype(values, dtype, where):
    """float32 values as little-endian bytes of `dtype`, rounded to the nearest. Raises Refused where one is too big."""
    if not np.isfinite(values).all():
        raise Refused(f"{where}: holds NaN or infinity")
    if dtype == "float32":
        return values.astype("<f4").tobytes()
    if dtype == "float16":
        with np.errstate(over="ignore"):
            stored = values.astype("<f2")
        if not np.isfinite(stored).all():
            raise Refused(f"{where}: a value of {np.abs(values).max():.6g} is beyond float16; use --dtype bfloat16")
        return stored.tobytes()
    bits = values.astype("<f4").view("<u4")
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    if ((rounded & 0x7F80) == 0x7F80).any():
        raise Refused(f"{where}: a value of {np.abs(values).max():.6g} is beyond bfloat16")
    return rounded.astype("<u2").tobytes()


def undo_pairs(values, heads):
    """Rows of `heads` heads, [heads · dim, …], from pairs side by side to all first halves, then all second ones."""
    dim = values.shape[0] // heads
    return values.reshape(heads, dim // 2, 2, -1).swapaxes(1, 2).reshape(values.shape)


def parts_of(file, source, dtype):
    """The bytes of one tensor, in pieces."""
    tensor = file.tensors[source.stored]
    where = f"{file.path}: tensor {source.stored}"
    if len(source.shape) == 1:
        values = file.rows(tensor, 0, 1)[0]
        yield to_dtype(undo_pairs(values, source.pairs) if source.pairs else values, dtype, where)
        return
    rows, width = source.shape
    step = rows if source.pairs else max(1, BYTES_AT_ONCE // (4 * width))
    for first in range(0, rows, step):
        values = file.rows(tensor, first, min(step, rows - first))
        yield to_dtype(undo_pairs(values, source.pairs) if source.pairs else values, dtype, where)


def plan_files(tensors, dtype):
    """[[name, …], …]: which tensors lie in which file."""
    item, files, used = STORED_AS[dtype][1], [[]], 0
    for name, source in tensors.items():
        size = int(np.prod(source.shape, dtype=np.int64)) * item
        if files[-1] and used + size > MOST_OF_FILE:
            files.append([])
            used = 0
        files[-1].append(name)
        used += size
    return files


def write_file(path, file, tensors, names, dtype):
    """One safetensors file; returns its SHA-256."""
    kind, item = STORED_AS[dtype]
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name in names:
        size = int(np.prod(tensors[name].shape, dtype=np.int64)) * item
        header[name] = {"dtype": kind, "shape": list(tensors[name].shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest = hashlib.sha256()
    with open(path, "xb") as out:
        for part in [len(text).to_bytes(8, "little"), text]:
            digest.update(part)
            out.write(part)
        for name in names:
            for part in parts_of(file, tensors[name], dtype):
                digest.update(part)
                out.write(part)
    return digest.hexdigest()


def write_weights(folder, file, tensors, dtype):
    """model.safetensors, or shards and their index. Returns {file name: SHA-256}."""
    files = plan_files(tensors, dtype)
    names = ["model.safetensors"] if len(files) == 1 else [
        f"model-{i + 1:05}-of-{len(files):05}.safetensors" for i in range(len(files))]
    written = {name: write_file(folder / name, file, tensors, held, dtype) for name, held in zip(names, files)}
    if len(files) > 1:
        total = sum(int(np.prod(source.shape, dtype=np.int64)) for source in tensors.values()) * STORED_AS[dtype][1]
        places = {held: name for name, part in zip(names, files) for held in part}
        index = {"metadata": {"total_size": total}, "weight_map": places}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return written
