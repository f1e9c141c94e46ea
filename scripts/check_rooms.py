#!/usr/bin/env python3
"""Checks that every #include goes through an allowed door between rooms.

The doors are the templora_room(...) lines of CMakeLists.txt. Fails on an include of a room that is not
listed, on torch in a room without TORCH, on sentencepiece outside text, on a file in a folder that is
no room, and on doors that form a cycle. Prints one line per finding.
"""

import os
import re
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOM_LINE = re.compile(r"^templora_room\((\w+)( TORCH)?(?: DOORS ([\w ]+?))?(?: LIBRARIES [\w: ]+)?\)", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
TORCH_HEADERS = re.compile(r"^(torch|ATen|c10|caffe2)/")
SENTENCEPIECE = re.compile(r"^(sentencepiece_\w+|sentencepiece|builtin_pb)(\.pb)?(\.h|/)")


def read_rooms(root):
    """room -> (uses torch, set of doors), from CMakeLists.txt."""
    with open(os.path.join(root, "CMakeLists.txt"), encoding="utf-8") as file:
        lines = ROOM_LINE.findall(file.read())
    return {name: (bool(torch), set(doors.split())) for name, torch, doors in lines}


def includes(path):
    """(line number, quote or bracket, target) of each #include line of a file."""
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1), match.group(2)


def check_file(room, torch, doors, rooms, path):
    """Findings of one file, as text."""
    for number, _, target in includes(path):
        first = target.split("/")[0]
        if first in rooms and "/" in target and first != room and first not in doors:
            yield f"{number}: {room} has no door to {first} ({target})"
        if TORCH_HEADERS.match(target) and not torch:
            yield f"{number}: {room} is a room without torch ({target})"
        if SENTENCEPIECE.match(target) and room != "text":
            yield f"{number}: only text includes sentencepiece ({target})"
        if target.startswith("..") or first in ("experiments", "tests", "libtemplora"):
            yield f"{number}: include files as room/file.h ({target})"


def cycles(rooms):
    """Rooms that can be reached from themselves."""
    for start in rooms:
        seen, todo = set(), set(rooms[start][1])
        while todo:
            room = todo.pop()
            if room not in seen:
                seen.add(room)
                todo |= rooms[room][1]
        if start in seen:
            yield f"CMakeLists.txt: {start}: its doors lead back to it"


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else REPOSITORY
    rooms = read_rooms(root)
    findings, files = list(cycles(rooms)), 0
    if not rooms:
        findings.append("CMakeLists.txt: no templora_room(...) line; wanted the list of rooms")
    for folder, _, names in sorted(os.walk(os.path.join(root, "libtemplora"))):
        for name in sorted(names):
            path = os.path.join(folder, name)
            shown = os.path.relpath(path, root)
            room = os.path.relpath(path, os.path.join(root, "libtemplora")).split(os.sep)[0]
            if not name.endswith((".h", ".cpp")):
                continue
            files += 1
            if room not in rooms:
                findings.append(f"{shown}: {room} is no room of CMakeLists.txt")
                continue
            torch, doors = rooms[room]
            findings += [f"{shown}:{text}" for text in check_file(room, torch, doors, rooms, path)]
    if files == 0:
        findings.append("libtemplora: no source found")
    for finding in findings:
        print(finding)
    print(f"check_rooms: {len(rooms)} rooms, {files} files, {len(findings)} findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
