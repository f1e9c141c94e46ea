#!/usr/bin/env python3
"""Checks the Markdown pages: relative links and their anchors, templora's commands and options, --set's keys, scripts
and their options, files of the tree that are named, code that is quoted from a file (a block that opens with
"```cpp FILE" has to stand in FILE, but for its indentation), and the version in CITATION.cff.

Commands are looked for in code blocks and in spans of code. `--program FILE` is the templora that is asked by --help;
without it, its commands and options are not checked. `--readme-words N` warns where the README has more words,
`--strict` makes that a finding. `check_docs.py FOLDER` checks another tree. Prints one line per finding.
"""

import argparse
import glob
import os
import pathlib
import re
import shlex
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
LEFT_OUT = re.compile(r"^(build[^/]*|deps|runs|\.venv|\.git)/")
FENCE = re.compile(r"^ *(?:```|~~~)\w*(?: +(\S+))?")
SPAN = re.compile(r"(`+)(.+?)\1")
LINK = re.compile(r"\[(?:[^\[\]]|\[[^\]]*\])*\]\(\s*<?([^\s)>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
REFERENCE = re.compile(r"^ *\[[^\]]+\]: +(\S+)")
HTML = re.compile(r"<(?:a|img)\b[^>]*?\b(?:href|src|srcset)=\"([^\"]+)\"")
MADE_ANCHOR = re.compile(r"<[^>]*\b(?:id|name)=\"([^\"]+)\"")
HEADING = re.compile(r"^ {0,3}#{1,6} +(.+?)(?: +#+)? *$")
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
KEY_ROW = re.compile(r"^\| `([\w.]+)` \|")
FILE = re.compile(r"^(?:\./)?((?:cmake|configs|docs|examples|experiments|libtemplora|scripts|tests)/[\w./*+-]+)$")


def pages(root):
    """Markdown files below `root`, relative to it: what git tracks or would track, or all where there is no git."""
    done = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
                          capture_output=True, text=True, check=False)
    found = done.stdout.split("\0") if done.returncode == 0 else [str(path.relative_to(root))
                                                                 for path in root.rglob("*.md")]
    return sorted(path for path in found if path and not LEFT_OUT.match(path) and (root / path).is_file())


def slug(heading):
    """GitHub's anchor of a heading, before equal ones are numbered."""
    text = LINK.sub(lambda match: match.group(0)[1:match.group(0).rindex("](")], heading).replace("`", "")
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")


class Page:
    """A page's prose and code, by line number."""

    def __init__(self, text):
        self.prose, self.code, self.spans, self.quotes, self.anchors = [], [], [], [], set()
        counts, fenced = {}, False
        for number, line in enumerate(text.split("\n"), 1):
            fence = FENCE.match(line)
            if fence:
                fenced = not fenced
                quoted = fence.group(1) if fenced else None
                if quoted:
                    self.quotes.append((number, quoted, []))
            elif fenced and quoted:
                self.quotes[-1][2].append(line.strip())
            elif fenced:
                self.code.append((number, line))
            else:
                self.spans += [(number, match.group(2).strip()) for match in SPAN.finditer(line)]
                heading = HEADING.match(line)
                if heading:
                    name = slug(heading.group(1))
                    count = counts[name] = counts.get(name, -1) + 1
                    self.anchors.add(f"{name}-{count}" if count else name)
                self.anchors.update(MADE_ANCHOR.findall(line))
                self.prose.append((number, SPAN.sub("`", line)))

    def links(self):
        for number, line in self.prose:
            for pattern in (LINK, REFERENCE, HTML):
                yield from ((number, target) for target in pattern.findall(line))

    def commands(self):
        """(line, words) of each command in a code block or a span."""
        joined = ""
        for number, line in [*self.code, *self.spans]:
            joined += line
            if joined.endswith("\\"):
                joined = joined[:-1]
                continue
            for part in re.split(r"&&|\|\||[;|](?![^']*'(?:[^']*'[^']*')*[^']*$)", re.sub(r"(^|\s)#.*", "", joined)):
                try:
                    words = shlex.split(part.strip().lstrip("(").removeprefix("$ "))
                except ValueError:  # prose with an apostrophe
                    words = part.split()
                while words and (re.match(r"^\w+=", words[0]) or words[0] in ("exec", "srun", "nohup", "time")):
                    words.pop(0)
                if words:
                    yield number, words
            joined = ""


class Checker:
    """Findings over all pages of a tree."""

    def __init__(self, root, program):
        self.root, self.program, self.findings, self.help = root, program, [], {}
        names = pages(root)
        self.pages = {name: Page((root / name).read_text(encoding="utf-8")) for name in names}
        reference = root / "docs" / "config.md"
        lines = reference.read_text(encoding="utf-8").split("\n") if reference.exists() else []
        self.keys = {match.group(1) for match in map(KEY_ROW.match, lines) if match}

    def find(self, page, number, text):
        self.findings.append(f"{page}:{number}: {text}")

    def check_link(self, name, number, target):
        if re.match(r"^[a-zA-Z][\w+.-]*:", target):
            return  # another site
        path, _, anchor = target.partition("#")
        where = os.path.normpath(os.path.join(os.path.dirname(name), path)) if path else name
        if not (self.root / where).exists():
            self.find(name, number, f"{target}: no such file")
        elif anchor and where.endswith(".md"):
            page = self.pages.get(where) or Page((self.root / where).read_text(encoding="utf-8"))
            if anchor not in page.anchors:
                self.find(name, number, f"{target}: no such heading")

    def help_of(self, *command):
        """What --help prints, or None where there is no such command."""
        if command not in self.help:
            done = subprocess.run([self.program, *command, "--help"], capture_output=True, text=True, check=False)
            self.help[command] = done.stdout if done.returncode == 0 else None
        return self.help[command]

    def check_templora(self, name, number, words):
        if words and re.match(r"^[a-z]+$", words[0]):
            said, what = self.help_of(words[0]), f"templora {words[0]}"
        elif words and words[0].startswith("--"):
            said, what = self.help_of(), "templora"
        else:
            return
        if said is None:
            return self.find(name, number, f"{what}: no such command")
        known = set(OPTION.findall(said))
        for option in sorted(set(map(option_of, words)) - {None} - known):
            self.find(name, number, f"{what}: has no {option}")

    def check_script(self, name, number, script, words):
        path = self.root / script
        if not path.is_file():
            return self.find(name, number, f"{script}: no such script")
        text = path.read_text(encoding="utf-8")
        package = path.parent / path.name.replace("-", "_")
        modules = [path.parent / folder / f"{module}.py" for folder, module in re.findall(r"(\w+)\.(\w+)", text)]
        for source in {*package.glob("*.py"), *filter(pathlib.Path.is_file, modules)}:
            text += source.read_text(encoding="utf-8")
        for option in sorted(set(map(option_of, words)) - {None}):
            if option != "--help" and option not in text:
                self.find(name, number, f"{script}: has no {option}")

    def check_command(self, name, number, words):
        program = words[0].removeprefix("./").removeprefix("../before/")
        if program in ("templora", "scripts/templora", "build/templora"):
            if self.program:
                self.check_templora(name, number, words[1:])
            for position, word in enumerate(words[:-1]):
                key = words[position + 1].partition("=")
                if word == "--set" and self.keys and key[1] and key[0] not in self.keys:
                    self.find(name, number, f"--set {key[0]}: docs/config.md has no such key")
        elif re.match(r"^scripts/\w", program):
            self.check_script(name, number, program, words[1:])

    def check_file(self, name, number, span):
        match = FILE.match(span)
        if match and not glob.glob(str(self.root / match.group(1))):
            self.find(name, number, f"{span}: no such file")

    def check_quote(self, name, number, file, lines):
        path = self.root / file
        if not path.is_file():
            return self.find(name, number, f"{file}: no such file")
        source = "\n".join(line.strip() for line in path.read_text(encoding="utf-8").split("\n"))
        if "\n".join(["", *lines, ""]) not in f"\n{source}\n":
            self.find(name, number, f"{file}: does not have these lines")

    def check_citation(self):
        project, citation = self.root / "CMakeLists.txt", self.root / "CITATION.cff"
        if project.exists() and citation.exists():
            version = re.search(r"^project\(.* VERSION (\S+)", project.read_text(encoding="utf-8"), re.MULTILINE)
            cited = re.search(r"^version: (.+)$", citation.read_text(encoding="utf-8"), re.MULTILINE)
            if version and (not cited or cited.group(1) != version.group(1)):
                self.findings.append(f"CITATION.cff: wanted version: {version.group(1)}, as CMakeLists.txt has it")

    def check(self):
        self.check_citation()
        for name, page in self.pages.items():
            for number, target in page.links():
                self.check_link(name, number, target)
            for quote in page.quotes:
                self.check_quote(name, *quote)
            for number, words in page.commands():
                self.check_command(name, number, words)
            for number, span in page.spans:
                self.check_file(name, number, span)


def option_of(word):
    """--rounds of "--rounds=3"; None of what is no option."""
    match = re.match(r"^--[a-z][\w-]*", word)
    return match.group(0) if match else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", default=REPOSITORY, type=pathlib.Path)
    parser.add_argument("--program", help="the templora that is asked for its commands and options")
    parser.add_argument("--readme-words", type=int, help="how many words the README may have")
    parser.add_argument("--strict", action="store_true", help="more words are a finding")
    arguments = parser.parse_args()
    root = arguments.folder.resolve()
    checker = Checker(root, arguments.program)
    if arguments.program and checker.help_of() is None:
        sys.exit(f"check_docs: {arguments.program} --help fails; wanted a built templora")
    checker.check()
    if not checker.pages:
        checker.findings.append(f"{root}: no page found")
    readme = root / "README.md"
    words = len(readme.read_text(encoding="utf-8").split()) if readme.exists() else 0
    if arguments.readme_words and words > arguments.readme_words:
        text = f"README.md: {words} words, wanted at most {arguments.readme_words}: move parts of it to docs"
        if arguments.strict:
            checker.findings.append(text)
        else:
            print("warning: " + text)
    for finding in checker.findings:
        print(finding)
    print(f"check_docs: {len(checker.pages)} pages, {len(checker.findings)} findings")
    return 1 if checker.findings else 0


if __name__ == "__main__":
    sys.exit(main())
