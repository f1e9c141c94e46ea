"""The recipes of docs/reports.md do what they say on the CSV of a sweep: those for Python's csv module always, those
for pandas and R where they are installed."""

import array
import csv
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from made_runs import make_grid, make_run

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLORA = pathlib.Path(os.environ["TEMPLORA_BUILD"]) / "templora"


def recipes(language):
    """The code blocks of the page's section on recipes."""
    text = (ROOT / "docs/reports.md").read_text(encoding="utf-8")
    section = text[text.index("## In Python, pandas and R"):].split("\n## ")[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.DOTALL)


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.runs = make_grid(pathlib.Path(cls.folder.name) / "runs", books=3)
        cls.csv = pathlib.Path(cls.folder.name) / "delta_window.csv"
        subprocess.run([TEMPLORA, "report", *cls.runs, "--format", "csv", "--out", cls.csv], check=True,
                       capture_output=True)
        with open(cls.csv, newline="", encoding="utf-8") as file:
            cls.rows = list(csv.DictReader(file))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_recipe(self, command, code):
        done = subprocess.run([*command, code], cwd=self.folder.name, check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def mean(self, chunk, window):
        """What every recipe prints first: the change at one cell, the mean of its seeds."""
        found = [float(row["value"]) for row in self.rows
                 if row["window.chunk_tokens"] == str(chunk) and row["W"] == str(window) and row["book"] == "all"
                 and row["segment"] == "all" and row["measure"] == "change_percent"]
        self.assertEqual(len(found), 2)
        return sum(found) / 2

    def check_cells(self, said):
        for chunk, window in ((50, 100), (50, 150), (100, 150), (100, 200)):
            self.assertIn(f"{self.mean(chunk, window):.3f}", said)

    def test_one_row_for_each_run_book_segment_and_measure(self):
        keys = [(row["run"], row["book_index"], row["segment"], row["measure"]) for row in self.rows]
        self.assertEqual(len(keys), len(set(keys)))
        runs = {row["run"] for row in self.rows}
        self.assertEqual(len(runs), 8)
        self.assertEqual({row["seed"] for row in self.rows}, {"1", "2"})
        of_one = [row for row in self.rows if row["run"] == sorted(runs)[0] and row["measure"] == "lora_ppl"]
        self.assertEqual(sorted((row["book"], row["segment"]) for row in of_one),
                         sorted((book, segment) for book in ("all", "book_0.txt", "book_1.txt", "book_2.txt")
                                for segment in ("0-800", "800-1600", "1600+", "all")))

    def test_recipe_for_the_csv_module(self):
        blocks = [block for block in recipes("python") if "pandas" not in block]
        self.assertTrue(blocks)
        self.check_cells(self.run_recipe([sys.executable, "-c"], blocks[0]))

    def test_recipe_for_the_words_that_gained(self):
        run = pathlib.Path(self.folder.name) / "words"
        make_run(run, books=1)
        ids = array.array("i", [t % 7 for t in range(1, 2400)])
        (run / "nll/0-tokens.i32").write_bytes(ids.tobytes())
        done = subprocess.run([TEMPLORA, "report", run, "--format", "tokens", "--out", run.parent / "tokens.csv"],
                              check=True, capture_output=True, text=True)
        self.assertIn("stand without their text", done.stdout + done.stderr)  # the model is not there
        with open(run.parent / "tokens.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([int(row["token"]) for row in rows], list(ids))
        self.assertEqual([int(row["position"]) for row in rows], list(range(1, 2400)))
        gains = sum(float(row["base_nll"]) - float(row["lora_nll"]) for row in rows)
        blocks = [block for block in recipes("python") if "tokens.csv" in block]
        self.assertIn(f"{gains:.1f} nats in 2399 places", self.run_recipe([sys.executable, "-c"], blocks[0]))

    def test_recipe_for_pandas(self):
        pythons = [python for python in (sys.executable, shutil.which("python3")) if python]
        python = next((python for python in pythons if subprocess.run([python, "-c", "import pandas"], check=False,
                                                                      capture_output=True).returncode == 0), None)
        if not python:
            self.skipTest("pandas is not installed")
        blocks = [block for block in recipes("python") if "pandas" in block]
        self.assertTrue(blocks)
        self.check_cells(self.run_recipe([python, "-c"], blocks[0]))

    def test_recipe_for_r(self):
        if not shutil.which("Rscript"):
            self.skipTest("R is not installed")
        blocks = recipes("r")
        self.assertTrue(blocks)
        self.check_cells(self.run_recipe(["Rscript", "-e"], blocks[0]))


if __name__ == "__main__":
    unittest.main()
