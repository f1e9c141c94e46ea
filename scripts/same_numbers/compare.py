"""Compares two folders of results: every number and every line, except what is a time or names a version."""

import csv
import io
import json
import re
import struct

# What may differ between two runs of one program: times, what memory the process took, and names of versions.
# Keys of JSON objects, and columns of CSV files (seconds_score too); total_tokens is not in records of 0.1:
TIME_KEYS = {"seconds", "phase_seconds", "chunk_seconds", "flops_per_s", "flops_per_s_all", "peak_rss_bytes",
             "templora_version", "started", "total_tokens"}
# Rows of a CSV file with one number a line, by its column "measure":
TIME_MEASURES = re.compile(r"seconds|(seconds|peak)_.*")
# Columns of tables in pages; the phases are columns of `templora report`'s cost tables:
PHASES = """score_base score score_controls train_forward train_backward train_controls optimizer read recompute_base
 recompute staleness prompts base_prefill base_score base_decode lora_prefill lora_score lora_decode comet
 gradient prefill decode recall""".split()
TIME_COLUMNS = {"seconds", "share", "achieved GFLOP/s", "peak, resident", "s / 1K tokens", "peak memory [MB]", *PHASES}
# Words of pages around such a number:
TIME_WORDS = re.compile(r"[\d.e-]+ [nµm]?s a token|seconds from [\d.e-]+ to [\d.e-]+ \([^)]*\)|Peak of the process: "
                        r"[\d.]+ GB"
                        r"|(?<=, )[\d.]+ s(?=;)")
# Files that hold nothing but who works and when, and those that differ where a signal came in another moment:
SKIPPED_FILES = re.compile(r"lock|.*\.log")
STATE_FILES = re.compile(r"state-\d+\.(json|safetensors)")
STOPPED_FILES = re.compile(STATE_FILES.pattern + r"|schedule\.jsonl")
# Keys of a state that follow from the sizes of files with times in them:
STATE_KEYS = {"files", "hash"}


class Number(str):
    """A JSON number as it is written."""


def read_json(text):
    return json.loads(text, parse_float=Number, parse_int=Number)


def shown(value):
    text = value if isinstance(value, Number) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def values(old, new, where="", skipped=TIME_KEYS):
    """(place, old, new) of all that differs between two JSON values, but what stands under the keys `skipped`."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            if key in skipped:
                continue
            place = f"{where}.{key}" if where else key
            if key not in new or key not in old:
                yield (place, shown(old[key]), "nothing") if key in old else (place, "nothing", shown(new[key]))
            else:
                yield from values(old[key], new[key], place, skipped)
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield where, f"{len(old)} entries", f"{len(new)} entries"
        for i, (one, other) in enumerate(zip(old, new)):
            yield from values(one, other, f"{where}[{i}]", skipped)
    elif type(old) is not type(new) or old != new:
        yield where, shown(old), shown(new)


def json_lines(old, new):
    """Differences of two JSON Lines texts, line by line."""
    yield from by_line(old, new, lambda one, other: values(read_json(one), read_json(other)))


def by_line(old, new, compare):
    ones, others = old.splitlines(), new.splitlines()
    for i, (one, other) in enumerate(zip(ones, others)):
        if one != other:
            for place, left, right in compare(one, other):
                yield f"line {i + 1}" + (f" {place}" if place else ""), left, right
    if len(ones) != len(others):
        yield "", f"{len(ones)} lines", f"{len(others)} lines"


def without_times(text):
    """The lines of a page, with `~` where a time stands."""
    lines, times = [], None
    for line in text.splitlines():
        mark = "|" if line.startswith("|") else "&" if " & " in line else None
        if mark:
            cells = line.split(mark)
            if times is None:  # a table's first line names its columns
                names = [cell.replace("{[}", "[").replace("\\_", "_").replace("\\", "").strip() for cell in cells]
                times = [i for i, name in enumerate(names) if name in TIME_COLUMNS]
            line = mark.join("~" if i in times else cell for i, cell in enumerate(cells))
        elif not line:
            times = None
        lines.append(TIME_WORDS.sub("~", line))
    return "\n".join(lines)


def csv_without_times(text):
    """A CSV file with `~` where a time stands; none of the program's has quoted line ends."""
    rows = list(csv.reader(io.StringIO(text)))
    names = rows[0] if rows else []
    times = [i for i, name in enumerate(names) if name in TIME_KEYS or TIME_MEASURES.fullmatch(name)]
    measure = names.index("measure") if "measure" in names else None
    for row in rows[1:]:
        hidden = set(times)
        if measure is not None and TIME_MEASURES.fullmatch(row[measure]):
            hidden |= {i for i, name in enumerate(names) if name in ("value", "low", "high")}
        row[:] = ["~" if i in hidden else cell for i, cell in enumerate(row)]
    return "\n".join(",".join(row) for row in rows)


def page_lines(old, new):
    def compare(one, other):
        at = next((i for i, (a, b) in enumerate(zip(one, other)) if a != b), min(len(one), len(other)))
        begin = max(0, at - 20)
        yield "", json.dumps(one[begin:at + 40], ensure_ascii=False), json.dumps(other[begin:at + 40],
                                                                                 ensure_ascii=False)
    plain = csv_without_times if old.split("\n", 1)[0].count(",") > 5 else without_times
    yield from by_line(plain(old), plain(new), compare)


def floats(old, new, where=""):
    """Where two arrays of float32 differ."""
    if len(old) != len(new):
        yield where, f"{len(old)} bytes", f"{len(new)} bytes"
        return
    for i in range(0, len(old) - 3, 4):
        if old[i:i + 4] != new[i:i + 4]:
            yield f"{where}[{i // 4}]", *(repr(struct.unpack("<f", side[i:i + 4])[0]) for side in (old, new))


def tensors(data):
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (item["dtype"], item["shape"],
                   data[8 + size + item["data_offsets"][0]:8 + size + item["data_offsets"][1]])
            for name, item in header.items()}


def safetensors(old, new):
    one, other = tensors(old), tensors(new)
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            yield name, *("a tensor" if name in side else "nothing" for side in (one, other))
        elif one[name][:2] != other[name][:2]:
            yield name, str(one[name][:2]), str(other[name][:2])
        else:
            yield from floats(one[name][2], other[name][2], name)


def run_record(old, new):
    """A run.json. Keys of the config that only the new program knows are no difference where config_hash is the same:
    it is made of the keys that are not at their defaults. effective_hash, which is made of all, is then another one."""
    one, other = read_json(old), read_json(new)
    added = [place for place, left, _ in values(one["config"], other["config"]) if left == "nothing"]
    for place, left, right in values(one, other):
        if place.removeprefix("config.") in added or (added and place == "effective_hash"):
            continue
        yield place, left, right


def by_name(name, old, new):
    """How a file's content is compared."""
    if name.endswith(".f32"):
        return floats(old, new)
    if name.endswith(".safetensors"):
        return safetensors(old, new)
    try:
        one, other = old.decode(), new.decode()
    except UnicodeDecodeError:
        return [("", f"{len(old)} bytes", f"{len(new)} other bytes")]
    if name == "run.json":
        return run_record(one, other)
    if STATE_FILES.fullmatch(name):
        return values(read_json(one), read_json(other), skipped=TIME_KEYS | STATE_KEYS)
    if name.endswith(".json"):
        return values(read_json(one), read_json(other))
    return json_lines(one, other) if name.endswith(".jsonl") else page_lines(one, other)


def differences(old, new, stopped=False):
    """(file and place, old value, new value) of all that differs between two folders."""
    names = [{str(path.relative_to(side)) for path in side.rglob("*") if path.is_file()} for side in (old, new)]
    for name in sorted(names[0] | names[1]):
        last = name.rsplit("/", 1)[-1]
        if SKIPPED_FILES.fullmatch(last) or (stopped and STOPPED_FILES.fullmatch(last)):
            continue
        if name not in names[0] or name not in names[1]:
            yield name, *("a file" if name in side else "nothing" for side in names)
            continue
        one, other = (old / name).read_bytes(), (new / name).read_bytes()
        if one != other:
            for place, left, right in by_name(last, one, other):
                yield (f"{name} {place}" if place else name), left, right
