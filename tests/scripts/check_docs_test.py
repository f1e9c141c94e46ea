"""scripts/check_docs.py on made-up pages: what it finds, and what it leaves alone."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "check_docs.py"
PROGRAM = """#!/bin/sh
case "$*" in
  --help) echo '--version  run  report' ;;
  'run --help') echo '  CONFIG --out DIR --set KEY=VALUE' ;;
  'report --help') echo '  FOLDER --format NAME' ;;
  *) exit 2 ;;
esac
"""


class CheckDocs(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        self.write("templora-program", PROGRAM).chmod(0o755)
        self.write("scripts/bench", "#!/bin/sh\n# bench --rounds N; helper.part has more\n")
        self.write("scripts/helper/part.py", "add('--deep')\n")
        self.write("docs/config.md", "| `train.epochs` | integer |\n")
        self.write("docs/other.md", "# A `code` title, twice\n# A code title, twice\n## It's [linked](x.md)!\n")
        self.write("docs/x.md", "")
        self.write("examples/main.cpp", "int main() {\n  run();\n\n  return 0;\n}\n")
        self.write("CMakeLists.txt", "project(templora VERSION 1.2.3 LANGUAGES CXX)\n")
        self.write("CITATION.cff", "cff-version: 1.2.0\nversion: 1.2.3\n")

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def check(self, *options, readme="", code=0):
        self.write("README.md", readme)
        command = [sys.executable, SCRIPT, self.root, "--program", self.root / "templora-program", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout.splitlines()[:-1]

    def test_what_is_there_is_left_alone(self):
        lines = ["[a](docs/other.md) [b](docs/other.md#a-code-title-twice) ![c](docs/x.md \"title\") [`d`](#here)",
                 "[e](docs/other.md#a-code-title-twice-1) [f](docs/other.md#its-linked) [g](https://example.org/none)",
                 "# Here", "`[no](link.md)` and `templora run CONFIG --out DIR`", "```",
                 "./scripts/templora run c.json --set train.epochs=3 \\", "  --out runs/x   # --not-an-option",
                 "OMP_NUM_THREADS=1 templora --version && templora report runs/x --format=html | head --lines=3",
                 "./scripts/bench --rounds 3 --deep", "templora: run.json --strange is what a message says",
                 "other --whatever", "[no](link.md)", "```", "`docs/x.md` and `docs/*.md`",
                 "```cpp examples/main.cpp", "run();", "", "return 0;", "```"]
        self.assertEqual(self.check(readme="\n".join(lines)), [])

    def test_what_leads_nowhere(self):
        for text, finding in [
                ("[a](docs/none.md)", "docs/none.md: no such file"),
                ("[a](docs/other.md#nothing)", "docs/other.md#nothing: no such heading"),
                ("[a](#nothing)", "#nothing: no such heading"),
                ("[a][1]\n\n[1]: none.md", "none.md: no such file"),
                ("<img src=\"none.svg\">", "none.svg: no such file"),
                ("`docs/none.md`", "docs/none.md: no such file"),
                ("```\ntemplora walk\n```", "templora walk: no such command"),
                ("```\ncd x && ./scripts/templora run c.json \\\n  --name x\n```", "templora run: has no --name"),
                ("`templora report --out x`", "templora report: has no --out"),
                ("`templora --walk`", "templora: has no --walk"),
                ("```\ntemplora run c.json --set 'train.lr=1'\n```", "--set train.lr: docs/config.md has no such key"),
                ("```cpp examples/main.cpp\nrun();\nreturn 0;\n```", "examples/main.cpp: does not have these lines"),
                ("```cpp examples/main.cpp\nun();\n```", "examples/main.cpp: does not have these lines"),
                ("```cpp examples/none.cpp\nrun();\n```", "examples/none.cpp: no such file"),
                ("```\n./scripts/none\n```", "scripts/none: no such script"),
                ("```\n./scripts/bench --parts loop\n```", "scripts/bench: has no --parts")]:
            with self.subTest(text):
                found = self.check(readme=text, code=1)
                self.assertEqual(len(found), 1, found)
                self.assertRegex(found[0], r"^README.md:\d+: ")
                self.assertEqual(found[0].split(": ", 1)[1], finding)

    def test_the_version_that_is_cited(self):
        self.write("CITATION.cff", "cff-version: 1.2.3\nversion: 1.2.0\n")
        self.assertEqual(self.check(code=1), ["CITATION.cff: wanted version: 1.2.3, as CMakeLists.txt has it"])

    def test_a_long_readme(self):
        self.assertEqual(self.check("--readme-words", "3", readme="one two three"), [])
        self.assertEqual(self.check("--readme-words", "3", readme="one two three four"),
                         ["warning: README.md: 4 words, wanted at most 3: move parts of it to docs"])
        self.assertEqual(self.check("--readme-words", "3", "--strict", readme="one two three four", code=1),
                         ["README.md: 4 words, wanted at most 3: move parts of it to docs"])


if __name__ == "__main__":
    unittest.main()
