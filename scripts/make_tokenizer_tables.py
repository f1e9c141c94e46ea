#!/usr/bin/env python3
"""Writes libtemplora/text/tokenizer_tables.cpp: what characters are to Hugging Face's tokenizers.

    "$(python3 scripts/reference_python.py --transformers 5)" scripts/make_tokenizer_tables.py

Asks the package `tokenizers` itself, since three of its parts know three versions of Unicode: the regular expressions
of pre-tokenizers (categories, white space), the standard library of its language (digits), the matcher of added tokens
(word characters, white space), and its normalizer NFC (decompositions, classes of marks, compositions).
"""

from pathlib import Path

import tokenizers
from table_lines import lines
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

OUT = Path(__file__).resolve().parent.parent / "libtemplora" / "text" / "tokenizer_tables.cpp"
CODES = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
ALL = "".join(map(chr, CODES))
CATEGORIES = "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Cs Co Cn".split()
SURROGATE = CATEGORIES.index("Cs")
MARK = "\U0010fffd"  # private use, and so of no class that is asked for but Co


def matched(pattern: str) -> set[int]:
    """The code points that a regular expression for one character matches."""
    answer = normalizers.Replace(Regex(pattern), MARK).normalize_str(ALL)
    assert len(answer) == len(ALL), pattern
    found = {code for code, before, after in zip(CODES, ALL, answer) if before != after}
    if normalizers.Replace(Regex(pattern), "x").normalize_str(MARK) == "x":
        found.add(ord(MARK))
    return found


def categories() -> dict[int, int]:
    """The category of each code point, as an index; each must have exactly one."""
    result = {}
    for index, name in enumerate(CATEGORIES):
        if index == SURROGATE:
            continue
        members = matched(rf"\p{{{name}}}")
        assert not members & result.keys(), name
        result.update(dict.fromkeys(members, index))
    assert len(result) == len(CODES)
    result.update(dict.fromkeys(range(0xD800, 0xE000), SURROGATE))
    return result


def numeric() -> set[int]:
    """What the pre-tokenizer Digits takes for a digit."""
    pieces = pre_tokenizers.Digits(individual_digits=True).pre_tokenize_str("a".join(ALL))
    starts = {span[0] for piece, span in pieces if span[1] - span[0] == 1}
    # Every second character is an "a": a digit stands alone, and so does the "a" between two of them.
    return {code for place, code in enumerate(CODES) if 2 * place in starts and code != ord("a")}


def added_token_answers(text: str, **rules: bool) -> list[tuple[int, int]]:
    """Where the added token U+10FFFD is found in `text`."""
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    tokenizer.add_tokens([AddedToken(MARK, normalized=False, **rules)])
    encoded = tokenizer.encode(text)
    return [span for identity, span in zip(encoded.ids, encoded.offsets) if identity == 1]


def word_characters() -> set[int]:
    """What must not stand beside an added token with single_word."""
    codes = [code for code in CODES if code != ord(MARK)]
    text = "".join(chr(code) + MARK + "\n" for code in codes)
    alone = {start // 3 for start, _ in added_token_answers(text, single_word=True)}
    return {code for place, code in enumerate(codes) if place not in alone}


def stripped_characters() -> set[int]:
    """What an added token with lstrip takes away; rstrip must take the same."""
    codes = [code for code in CODES if code != ord(MARK)]
    left = added_token_answers("".join("a" + chr(code) + MARK for code in codes), lstrip=True)
    right = added_token_answers("".join(MARK + chr(code) + "a" for code in codes), rstrip=True)
    assert len(left) == len(right) == len(codes)
    result = {code for code, (start, end) in zip(codes, left) if end - start == 2}
    assert result == {code for code, (start, end) in zip(codes, right) if end - start == 2}
    return result


def normalized(normalizer, texts: list[str]) -> list[str]:
    """Each text's normal form; a line end between two keeps them apart."""
    if not texts:
        return []
    answer = normalizer.normalize_str("\n".join(texts)).split("\n")
    assert len(answer) == len(texts)
    return answer


def mark_classes() -> dict[int, int]:
    """The class of each mark, as a rank that orders marks as NFD does: 0 is none."""
    codes = [code for code in CODES if code != 0x0A]
    probe = {1: 0x0334, 240: 0x0345}  # the lowest and the highest class there is
    behind = normalized(normalizers.NFD(), [chr(code) + chr(probe[1]) for code in codes])
    before = normalized(normalizers.NFD(), [chr(probe[240]) + chr(code) for code in codes])
    decomposed = normalized(normalizers.NFD(), [chr(code) for code in codes])
    own = [code for code, text in zip(codes, decomposed) if text == chr(code)]
    moves = {code for code, text in zip(codes, behind) if text[0] == chr(probe[1]) and code != probe[1]}
    moves |= {code for code, text in zip(codes, before) if text[0] != chr(probe[240])}
    marks = sorted(code for code in own if code in moves) + [probe[1], probe[240]]
    marks = sorted(set(marks))
    # a sorts before b if "b a" is turned round; marks of one class keep their order.
    groups: list[list[int]] = []
    for mark in marks:
        swaps = normalized(normalizers.NFD(), [chr(group[0]) + chr(mark) for group in groups])
        back = normalized(normalizers.NFD(), [chr(mark) + chr(group[0]) for group in groups])
        place = 0
        for group, swap, turned in zip(groups, swaps, back):
            if swap[0] != chr(group[0]):
                break  # goes before this group
            place += 1
            if turned[0] == chr(mark):
                group.append(mark)
                place = -1
                break
        if place >= 0:
            groups.insert(place, [mark])
    return {mark: rank for rank, group in enumerate(groups, 1) for mark in group}


def decompositions() -> list[tuple[int, int, int, int]]:
    """(code point, first, second or 0, whether NFC composes the two) of all that NFD takes apart but Hangul."""
    codes = [code for code in CODES if code != 0x0A and not 0xAC00 <= code < 0xD7A4]
    full = normalized(normalizers.NFD(), [chr(code) for code in codes])
    apart = [(code, text) for code, text in zip(codes, full) if text != chr(code)]
    starts = normalized(normalizers.NFC(), [text[:-1] or "x" for _, text in apart])
    again = normalized(normalizers.NFC(), [text for _, text in apart])
    rows = []
    whole = dict(apart)
    for (code, text), start, back in zip(apart, starts, again):
        if len(text) == 1:
            rows.append((code, ord(text), 0, 0))
        elif back == chr(code):
            assert len(start) == 1, hex(code)
            rows.append((code, ord(start), ord(text[-1]), 1))
        else:
            # Never composed: any first step that leads to the same end does.
            first = next((c for c, t in whole.items() if t == text[:-1] and len(text) > 2), None)
            assert first is not None or len(text) == 2, hex(code)
            rows.append((code, first or ord(text[0]), ord(text[-1]), 0))
    return rows


def check_hangul() -> None:
    codes = range(0xAC00, 0xD7A4)
    texts = normalized(normalizers.NFD(), [chr(code) for code in codes])
    for code, text in zip(codes, texts):
        index = code - 0xAC00
        parts = [0x1100 + index // 588, 0x1161 + index % 588 // 28] + [0x11A7 + index % 28] * (index % 28 > 0)
        assert [ord(c) for c in text] == parts
    assert normalized(normalizers.NFC(), texts) == [chr(code) for code in codes]


def edges(members: set[int]) -> list[int]:
    """First and one past the last code point of each run, one after the other."""
    result = []
    for code in sorted(members):
        if result and result[-1] == code:
            result[-1] = code + 1
        else:
            result += [code, code + 1]
    return result


def runs(values: dict[int, int]) -> list[str]:
    """{first code point, value} of each run of equal values over all code points; 0 where there is none."""
    items, last = [], None
    for code in range(0x110000):
        value = values.get(code, 0)
        if value != last:
            items.append(f"{{{code:#x}, {value}}}")
            last = value
    return items


def array(kind: str, name: str, items: list[str]) -> str:
    return f"constexpr {kind} {name}Data[] = {{\n{lines(items)}\n}};\n"


def main() -> None:
    category = categories()

    def of(*names: str) -> set[int]:
        return {c for c, i in category.items() if i != SURROGATE and CATEGORIES[i].startswith(names)}

    # What the code takes for granted; another answer of a later version stops here.
    assert matched(r"\d") == of("Nd")
    assert matched(r"[\d\s\p{Lu}]") == of("Nd", "Lu") | matched(r"\s")
    assert matched(r"[^\w]") == set(CODES) - matched(r"[\w]") and matched(r"\W") == set(CODES) - matched(r"\w")
    assert matched(r"[^\s]") == set(CODES) - matched(r"\s")
    assert matched("(?i:s)") == {0x53, 0x73, 0x17F} and matched("(?i:k)") == {0x4B, 0x6B, 0x212A}
    for letter in "abcdefghijlmnopqrtuvwxyz":
        assert matched(f"(?i:{letter})") == {ord(letter), ord(letter.upper())}
    check_hangul()
    space, word, shared_word, added_word = matched(r"\s"), matched(r"\w"), matched(r"[\w]"), word_characters()
    letters = of("L", "M", "Nd", "Nl", "Pc")
    assert letters <= shared_word <= word & added_word and stripped_characters() == space
    sets = {
        "kPatternSpace": space,
        "kWordSymbols": shared_word - letters,
        "kPatternWordMore": word - shared_word,
        "kAddedWordMore": added_word - shared_word,
        "kPatternHan": matched(r"\p{Han}"),
        "kNumeric": numeric(),
    }
    kinds = {
        "kCategoryRuns": ("CodePointRun", runs(category)),
        "kMarkClassRuns": ("CodePointRun", runs(mark_classes())),
    }
    for name, members in sets.items():
        kinds[name] = ("char32_t", [f"{edge:#x}" for edge in edges(members)])
    rows = [f"{{{code:#x}, {a:#x}, {b:#x}, {str(bool(back)).lower()}}}" for code, a, b, back in decompositions()]
    kinds["kDecompositions"] = ("Decomposition", rows)
    data = "\n".join(array(kind, name, items) for name, (kind, items) in kinds.items())
    spans = "\n".join(f"const std::span<const {kind}> {name} = {name}Data;" for name, (kind, _) in kinds.items())
    OUT.write_text(
        f"""// Made by scripts/make_tokenizer_tables.py, not by hand: answers of the Python package tokenizers
// {tokenizers.__version__}.
#include "text/tokenizer_tables.h"

namespace templora {{

namespace {{

{data}
}}  // namespace

{spans}

}}  // namespace templora
""",
        encoding="utf-8",
    )
    for name, (_, items) in kinds.items():
        print(f"{name}: {len(items)}")
    for name, members in sets.items():
        print(f"{name}: {len(members)} characters")


if __name__ == "__main__":
    main()
