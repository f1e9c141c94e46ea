"""Reads a GGUF file's header. Own code: the package's reader follows any length that a file claims."""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np

from .errors import RESOURCES, Refused, printable

MAGIC = b"GGUF"
VERSIONS = (2, 3)
MOST_TENSORS = 1 << 16
MOST_DIMENSIONS = 4
BOOL, STRING, ARRAY = 7, 8, 9
SCALARS = {0: "B", 1: "b", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "?", 10: "<u8", 11: "<i8", 12: "<f8"}


@dataclass(frozen=True)
class Tensor:
    """A stored tensor: `shape` as torch has it (the row length last), `start` and `bytes` of the whole file."""

    name: str
    shape: tuple
    kind: gguf.GGMLQuantizationType
    start: int
    bytes: int


class GgufFile:
    """Keys and tensors of one GGUF file. Raises Refused where a length, a type or an offset is not possible."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            with open(self.path, "rb") as file:
                self.data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # ValueError: an empty file
            raise Refused(f"{self.path}: cannot be read: {getattr(error, 'strerror', None) or 'it is empty'}")
        self.at = 0
        if self._take(4) != MAGIC:
            raise Refused(f"{self.path}: got no GGUF file (it does not start with GGUF)")
        version = self._number("<I")
        if version not in VERSIONS:
            raise Refused(f"{self.path}: GGUF version: got {version}, wanted 2 or 3 in little-endian order")
        tensors, keys = self._number("<Q"), self._number("<Q")
        if tensors > MOST_TENSORS or keys > len(self.data) // 13:
            raise Refused(f"{self.path}: got {tensors} tensors and {keys} keys, more than the file can hold")
        self.keys = {}
        for _ in range(keys):
            name = self._string("a key's name")
            if name in self.keys:
                raise Refused(f"{self.path}: {printable(name)}: stands there twice")
            self.keys[name] = self._value(self._number("<I"), name)
        self.tensors = self._read_tensors(tensors)

    def _read_tensors(self, count):
        found = {}
        for _ in range(count):
            name = self._string("a tensor's name")
            if name in found:
                raise Refused(f"{self.path}: tensor {printable(name)}: stands there twice")
            dimensions = self._number("<I")
            if not 1 <= dimensions <= MOST_DIMENSIONS:
                raise Refused(f"{self.path}: tensor {printable(name)}: got {dimensions} dimensions, wanted 1 to "
                              f"{MOST_DIMENSIONS}")
            shape = tuple(self._number("<Q") for _ in range(dimensions))[::-1]
            found[name] = (shape, self._number("<I"), self._number("<Q"))
        align = self.keys.get("general.alignment", 32)
        if not isinstance(align, int) or not 1 <= align <= 1 << 20 or align & (align - 1):
            raise Refused(f"{self.path}: general.alignment: got {printable(align)}, wanted a power of two")
        start = (self.at + align - 1) // align * align
        return {name: self._tensor(name, *parts, start) for name, parts in found.items()}

    def _tensor(self, name, shape, kind, offset, start):
        try:
            kind = gguf.GGMLQuantizationType(kind)
            block, block_bytes = gguf.GGML_QUANT_SIZES[kind]
        except (ValueError, KeyError):
            raise Refused(f"{self.path}: tensor {printable(name)}: type {kind} is not known to gguf "
                          f"{version_of_gguf()}")
        elements = 1
        for size in shape:
            elements *= size
        if elements == 0 or shape[-1] % block:
            raise Refused(f"{self.path}: tensor {printable(name)}: shape {list(shape)} cannot be of type {kind.name}")
        size = elements // block * block_bytes
        if start + offset + size > len(self.data):
            raise Refused(f"{self.path}: tensor {printable(name)}: ends behind the end of the file; is it whole?")
        return Tensor(name, shape, kind, start + offset, size)

    def rows(self, tensor, first, count):
        """Rows `first` to `first + count` of a tensor of one or two dimensions, float32: [count, row length]."""
        row_bytes = tensor.bytes // (tensor.shape[0] if len(tensor.shape) == 2 else 1)
        stored = np.frombuffer(self.data, np.uint8, count * row_bytes, tensor.start + first * row_bytes)
        try:
            return gguf.dequantize(stored.reshape(count, row_bytes), tensor.kind).astype(np.float32, copy=False)
        except NotImplementedError:
            raise Refused(f"{self.path}: tensor {printable(tensor.name)}: type {tensor.kind.name} cannot be "
                          f"dequantised by gguf {version_of_gguf()}")

    def get(self, name, kind, default=None):
        """The value of a key, or `default`. Raises Refused if it has another type."""
        value = self.keys.get(name, default)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool)):
            raise Refused(f"{self.path}: {name}: got {printable(value)}, wanted {KINDS[kind]}")
        return value

    def need(self, name, kind):
        value = self.get(name, kind)
        if value is None:
            raise Refused(f"{self.path}: {name}: missing, wanted {KINDS[kind]}")
        return value

    def _take(self, count):
        if count > len(self.data) - self.at:
            raise Refused(f"{self.path}: ends in its header; is it whole?")
        self.at += count
        return self.data[self.at - count:self.at]

    def _number(self, form):
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _string(self, what):
        try:
            return self._take(self._number("<Q")).decode()
        except UnicodeDecodeError:
            raise Refused(f"{self.path}: {printable(what)}: is not UTF-8")

    def _value(self, kind, name):
        if kind == STRING:
            return self._string(name)
        if kind != ARRAY:
            return self._scalars(kind, 1, name)[0].item()
        kind, count = self._number("<I"), self._number("<Q")
        if kind != STRING:
            return self._scalars(kind, count, name)
        if count > (len(self.data) - self.at) // 8:
            raise Refused(f"{self.path}: {printable(name)}: got {count} strings, more than the file can hold")
        return [self._string(name) for _ in range(count)]

    def _scalars(self, kind, count, name):
        if kind not in SCALARS:
            raise Refused(f"{self.path}: {printable(name)}: values of type {kind} are not known")
        form = np.dtype(SCALARS[kind])
        values = np.frombuffer(self._take(count * form.itemsize), np.uint8 if kind == BOOL else form)
        return values != 0 if kind == BOOL else values


KINDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", list: "a list of texts",
         np.ndarray: "a list of numbers"}


def version_of_gguf():
    from importlib.metadata import version
    return version("gguf")
