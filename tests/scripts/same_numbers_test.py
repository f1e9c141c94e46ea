"""scripts/same-numbers: one build has the numbers of itself, and what a doctored one changes is named."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
from same_numbers import compare  # noqa: E402
from same_numbers.cases import load_cases  # noqa: E402

PROGRAM = pathlib.Path(os.environ.get("TEMPLORA_BUILD", ROOT / "build")) / "templora"


class Compare(unittest.TestCase):
    def files(self, old, new, name, stopped=False):
        with tempfile.TemporaryDirectory() as folder:
            for side, content in (("old", old), ("new", new)):
                path = pathlib.Path(folder, side, name)
                path.parent.mkdir(parents=True)
                path.write_bytes(content if isinstance(content, bytes) else content.encode())
            return list(compare.differences(pathlib.Path(folder, "old"), pathlib.Path(folder, "new"), stopped))

    def test_a_number_is_compared_as_it_is_written(self):
        self.assertEqual(self.files('{"a": {"b": [1, 2.0]}}', '{"a": {"b": [1, 2.5]}}', "x.json"),
                         [("x.json a.b[1]", "2.0", "2.5")])
        self.assertEqual(self.files('{"a": 1}\n{"a": 0.1}\n', '{"a": 1}\n{"a": 0.10000000000000001}\n', "x.jsonl"),
                         [("x.jsonl line 2 a", "0.1", "0.10000000000000001")])
        self.assertEqual(self.files('{"a": 1}', '{"a": 1, "c": null}', "x.json"), [("x.json c", "nothing", "null")])
        self.assertEqual(self.files('{"a": "1"}', '{"a": 1}', "x.json"), [("x.json a", '"1"', "1")])

    def test_times_and_versions_are_left_out_but_nothing_beside_them(self):
        self.assertEqual(self.files('{"seconds": 1, "tokens": 2}', '{"seconds": 3, "tokens": 2}', "x.json"), [])
        table = ("| phase | seconds | GFLOP |\n| --- | ---: | ---: |\n| score | 0.5 | {} |\n\n"
                 "| a | b |\n| - | - |\n| x | {} |\n")
        self.assertEqual(self.files(table.format(3, 1), table.replace("0.5", "0.7").format(3, 1), "cost.md"), [])
        self.assertEqual(len(self.files(table.format(3, 1), table.replace("0.5", "0.7").format(4, 2), "cost.md")), 2)
        numbers = "table,model,segment,x,y,measure,value\np,m,all,,,{},{}\n"
        self.assertEqual(self.files(numbers.format("seconds", 1), numbers.format("seconds", 2), "printed-1-report.txt"),
                         [])
        self.assertEqual(len(self.files(numbers.format("base", 1), numbers.format("base", 2), "printed-1-report.txt")),
                         1)

    def test_floats_are_compared_by_their_bits(self):
        self.assertEqual(self.files(b"\0\0\x80\x3f" * 3, b"\0\0\x80\x3f" * 2 + b"\0\0\0\x40", "nll/0-lora.f32"),
                         [("nll/0-lora.f32 [2]", "1.0", "2.0")])
        self.assertEqual(len(self.files(b"\0\0\0\0", b"\0\0\0\x80", "nll/0-lora.f32")), 1)  # 0 and -0

    def test_a_key_that_the_old_program_did_not_know_is_no_difference_in_a_config(self):
        record = '{"config": {%s}, "identity": {"config_hash": "%s"}, "effective_hash": "%s"}'
        self.assertEqual(self.files(record % ('"a": 1', "x", "y"), record % ('"a": 1, "new": 2', "x", "z"), "run.json"),
                         [])
        self.assertEqual([place for place, *_ in self.files(record % ('"a": 1', "x", "y"),
                                                            record % ('"a": 1, "new": 2', "w", "z"),
                                                            "run.json")], ["run.json identity.config_hash"])
        self.assertEqual([place for place, *_ in self.files(record % ('"a": 1', "x", "y"),
                                                            record % ('"a": 2', "x", "z"), "run.json")],
                         ["run.json config.a", "run.json effective_hash"])

    def test_a_missing_file_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            old, new = pathlib.Path(folder, "old"), pathlib.Path(folder, "new")
            old.mkdir(), new.mkdir()
            (old / "table.md").write_text("x")
            self.assertEqual(list(compare.differences(old, new)), [("table.md", "a file", "nothing")])

    def test_the_configs_have_names_of_their_own(self):
        self.assertGreater(len(load_cases()), 40)


@unittest.skipUnless(PROGRAM.exists(), "templora is not built")
class TwoBuilds(unittest.TestCase):
    def run_script(self, new, *options):
        return subprocess.run([sys.executable, ROOT / "scripts/same-numbers", PROGRAM, new, *options], check=False,
                              capture_output=True, text=True)

    def test_one_build_has_the_numbers_of_itself(self):
        ended = self.run_script(PROGRAM, "--only", "^(first-chunk|refill|resume|generation-parallelized|sweep)$")
        self.assertEqual(ended.returncode, 0, ended.stdout + ended.stderr)
        self.assertIn("5 of 5 configs give the same numbers", ended.stdout)

    def test_what_another_build_changes_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            other = pathlib.Path(folder, "templora")
            other.write_text(f"""#!{sys.executable}
import pathlib, subprocess, sys
code = subprocess.run(["{PROGRAM}", *sys.argv[1:]]).returncode
path = pathlib.Path("out/chunks.jsonl")
if sys.argv[1] == "run":
    lines = path.read_text().splitlines()
    lines[2] = lines[2].replace('"context_tokens":', '"context_tokens":1')
    path.write_text("\\n".join(lines) + "\\n")
sys.exit(code)
""")
            other.chmod(0o755)
            ended = self.run_script(other, "--only", "^(lag|epochs)$", "--out", str(pathlib.Path(folder, "kept")))
            self.assertEqual(ended.returncode, 1, ended.stdout + ended.stderr)
            self.assertIn("differs  epochs: out/chunks.jsonl line 3 context_tokens: 40, now 140\n", ended.stdout)
            self.assertIn("failed   lag: new: templora verify out: exit code 3", ended.stdout)
            self.assertIn("0 of 2 configs", ended.stdout)
            self.assertTrue(pathlib.Path(folder, "kept/epochs/new/out/chunks.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
