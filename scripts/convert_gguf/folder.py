"""A whole model folder, made under another name and renamed when it is complete."""

import contextlib
import errno
import hashlib
import os
import shutil
import signal
import tempfile
from pathlib import Path

from .errors import RESOURCES, USAGE, Refused
from .families import family_of
from .pieces import as_bytes, tokenizer_files
from .reading import GgufFile, version_of_gguf
from .weights import write_weights


@contextlib.contextmanager
def new_folder(target):
    """A folder beside `target` that takes its name at the end. Nothing of it stays if anything fails."""
    target = Path(os.path.abspath(target))
    if target.is_symlink() or target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise Refused(f"{target}: is there already; name another folder, or remove it", USAGE)

    def stop(number, _):
        raise SystemExit(128 + number)
    before = signal.signal(signal.SIGTERM, stop)
    part = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.part-", dir=target.parent))
        mask = os.umask(0)
        os.umask(mask)
        part.chmod(0o777 & ~mask)
        yield part
        os.replace(part, target)  # an empty folder of that name gives way
        part = None
    except OSError as error:
        what = "disk full" if error.errno == errno.ENOSPC else error.strerror
        raise Refused(f"{target}: cannot be written: {what}", RESOURCES)
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)
        signal.signal(signal.SIGTERM, before)


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.hexdigest()


def convert(source, target, dtype):
    """Writes the folder; returns what provenance.json says of it."""
    file = GgufFile(source)
    family = family_of(file)
    config = family.config
    tokenizer, named = tokenizer_files(file, config["vocab_size"], config["max_position_embeddings"])
    ends = [named["eos_token"]] if "eos_token" in named else []
    turn = file.get("tokenizer.ggml.eot_token_id", int)
    ends += [turn] if turn is not None and 0 <= turn < config["vocab_size"] and turn not in ends else []
    ids = {"bos_token_id": named.get("bos_token"), "eos_token_id": ends[0] if len(ends) == 1 else ends or None,
           "pad_token_id": named.get("pad_token")}
    kinds = {}
    for tensor in file.tensors.values():
        kinds[tensor.kind.name] = kinds.get(tensor.kind.name, 0) + 1
    with new_folder(target) as folder:
        written = write_weights(folder, file, family.tensors, dtype)
        files = {"config.json": {**config, **ids, "torch_dtype": dtype},
                 "generation_config.json": {name: value for name, value in ids.items() if value is not None},
                 **tokenizer}
        for name, content in files.items():
            content = as_bytes(content)
            (folder / name).write_bytes(content)
            written[name] = hashlib.sha256(content).hexdigest()
        provenance = {
            "made_by": "scripts/convert-gguf of templora", "gguf": version_of_gguf(), "dtype": dtype,
            "source": {"file": Path(source).name, "bytes": os.path.getsize(source), "sha256": sha256_of(source),
                       "name": file.get("general.name", str), "licence": file.get("general.license", str),
                       "architecture": config["model_type"], "pre_tokenizer": file.get("tokenizer.ggml.pre", str),
                       "tensor_types": dict(sorted(kinds.items()))},
            "sha256": dict(sorted(written.items()))}
        (folder / "provenance.json").write_bytes(as_bytes(provenance))
    return provenance
