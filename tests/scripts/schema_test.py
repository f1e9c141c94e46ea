#!/usr/bin/env python3
"""templora schema: what is shipped and what `init` writes is valid by it, and what the program refuses is not.
Skipped where no Python has jsonschema (Debian: python3-jsonschema)."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("TEMPLORA_BUILD", ROOT / "build")) / "templora"
CHECK = """
import json, jsonschema, sys
schema, values = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
print(json.dumps([[error.message for error in validator.iter_errors(value)] for value in values]))
"""


def python_with_jsonschema():
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        look = [python, "-W", "ignore", "-c", "import jsonschema"]
        if python and subprocess.run(look, capture_output=True, check=False).returncode == 0:
            return python
    return None


PYTHON = python_with_jsonschema()


@unittest.skipIf(PYTHON is None, "no Python here has jsonschema")
class Schema(unittest.TestCase):
    def schema(self, *options):
        return json.loads(subprocess.run([PROGRAM, "schema", *options], capture_output=True, check=True).stdout)

    def mistakes(self, schema, values):
        asked = json.dumps([schema, values])
        command = [PYTHON, "-W", "ignore", "-c", CHECK]
        done = subprocess.run(command, input=asked, capture_output=True, check=True, text=True)
        return json.loads(done.stdout)

    def shipped(self, sweeps):
        files = sorted((ROOT / "configs").rglob("*.json"))
        files = [file for file in files if (file.parent.name == "sweeps") == sweeps]
        self.assertGreater(len(files), 5)
        return files, [json.loads(file.read_text(encoding="utf-8")) for file in files]

    def test_all_shipped_files_are_valid(self):
        for sweeps, options in ((False, ()), (True, ("--sweep",))):
            files, values = self.shipped(sweeps)
            for file, mistakes in zip(files, self.mistakes(self.schema(*options), values)):
                self.assertEqual(mistakes, [], file)

    def test_a_config_that_extends_may_have_nulls_and_no_model(self):
        values = [{"extends": "a.json", "train": {"epochs": None}, "lora": None, "model": {"dtype": None},
                   "seed": None},
                  {"$schema": "config.schema.json", "model": {"path": "m"}}]
        self.assertEqual(self.mistakes(self.schema(), values), [[], []])

    def test_what_the_program_refuses_is_invalid(self):
        values = [{}, {"model": {"path": 3}}, {"model": {}, "train": {"epochs": 0}}, {"model": {}, "lr": 1},
                  {"model": {}, "model.path": "m"}, {"extends": 3}]
        for value, mistakes in zip(values, self.mistakes(self.schema(), values)):
            self.assertTrue(mistakes, value)
        sweeps = [{}, {"base": 3}, {"base": "a.json", "axes": {"train.epochs": 3}},
                  {"base": "a.json", "axes": {"lr": [1]}},
                  {"base": "a.json", "axes": {"train.epochs": []}}, {"base": "a.json", "slurm": {"cpus": 0}}]
        for value, mistakes in zip(sweeps, self.mistakes(self.schema("--sweep"), sweeps)):
            self.assertTrue(mistakes, value)


if __name__ == "__main__":
    unittest.main()
