#!/usr/bin/env python3
"""Writes libtemplora/metrics/unicode_tables.cpp: the properties of characters that BLEU and chrF need.

    python scripts/make_unicode_tables.py

Asks what sacreBLEU itself asks: the package `regex` for the categories P, S and N, and Python's str.lower().
Whether a character counts as cased or is looked through, where lower() chooses between the two small sigmas, is
read off lower()'s answers. A later regex or Python knows more characters and gives longer tables.
"""

import sys
import unicodedata
from importlib.metadata import metadata, version
from pathlib import Path

import regex
from table_lines import lines

OUT = Path(__file__).resolve().parent.parent / "libtemplora" / "metrics" / "unicode_tables.cpp"
CHARACTERS = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def edges(holds) -> list[int]:
    """First and one past the last code point of each run for which `holds`, one after the other."""
    result, inside = [], False
    for char in CHARACTERS:
        if bool(holds(char)) != inside:
            inside = not inside
            result.append(ord(char))
    return result + [0x110000] * inside


def ends_word(text: str) -> bool:
    """Whether lower() takes a sigma at the end of `text` as the last letter of a word."""
    return (text + "\u03a3").lower().endswith("\u03c2")


def lower_runs() -> list[tuple[int, int, int, int]]:
    """(first, last, step, what to add) of characters with a small form of one character."""
    runs: list[list[int]] = []
    for char in CHARACTERS:
        small = char.lower()
        if small == char or len(small) > 1:
            continue
        code, add = ord(char), ord(small) - ord(char)
        if runs:
            first, last, step, run_add = runs[-1]
            if add == run_add and (code - last == step or (first == last and code - last == 2)):
                runs[-1] = [first, code, code - last, add]
                continue
        runs.append([code, code, 1, add])
    return [tuple(run) for run in runs]


def main() -> int:
    special = [char for char in CHARACTERS if len(char.lower()) > 1]
    if special != ["\u0130"] or "\u0130".lower() != "i\u0307":
        print(f"make_unicode_tables: lower() gives several characters for {special}, wanted U+0130 alone; "
              "extend lower_case in libtemplora/metrics/unicode.cpp", file=sys.stderr)
        return 1
    about = next((line for line in (metadata("regex").get_payload() or metadata("regex")["Description"]).splitlines()
                  if line.startswith("This module supports Unicode")), "")
    regex_unicode = about.removeprefix("This module supports Unicode ").split(". ")[0]
    categories = {name: regex.compile(rf"\p{{{letter}}}")
                  for name, letter in (("kPunctuation", "P"), ("kSymbols", "S"), ("kNumbers", "N"))}
    tables = {name: edges(pattern.match) for name, pattern in categories.items()}
    # Alone before a sigma a character is looked through or it is not cased; after a letter it is cased or looked
    # through.
    tables["kCased"] = edges(lambda char: ends_word(char))
    tables["kCaseIgnorable"] = edges(lambda char: ends_word("a" + char) and not ends_word(char))
    text = ["// Made by scripts/make_unicode_tables.py, not by hand: categories of the Python package regex",
            f"// {version('regex')} (Unicode {regex_unicode}), case of Python {sys.version.split()[0]}"
            f" (Unicode {unicodedata.unidata_version}).",
            '#include "metrics/unicode_tables.h"', "", "namespace templora {", "", "namespace {"]
    for name, table in tables.items():
        text += ["", f"constexpr char32_t {name}Edges[] = {{", lines([f"0x{edge:x}" for edge in table]), "};"]
    text += ["", "constexpr LowerRun kLowerRunTable[] = {",
             lines([f"{{0x{first:x}, 0x{last:x}, {step}, {add}}}" for first, last, step, add in lower_runs()]), "};",
             "", "}  // namespace", ""]
    text += [f"const std::span<const char32_t> {name}{{{name}Edges}};" for name in tables]
    text += ["const std::span<const LowerRun> kLowerRuns{kLowerRunTable};", "", "}  // namespace templora", ""]
    OUT.write_text("\n".join(text))
    print(f"{OUT.name}: {sum(map(len, tables.values())) // 2} runs, {len(lower_runs())} runs of lower case")
    return 0


if __name__ == "__main__":
    sys.exit(main())
