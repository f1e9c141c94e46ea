"""The tables of `templora report --format latex` in a paper with two columns: pdflatex sets them, where it is
installed, and none is wider than a column."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from made_runs import make_grid, make_run

TEMPLORA = pathlib.Path(os.environ["TEMPLORA_BUILD"]) / "templora"
PAPER = {"paper_version": ["v1", "v3"], "paper_value": {"0-800": {"base": 5.5, "temp_lora": 5.0}},
         "paper_change_percent_over_all_models": {"v1": {"0-800": -3.6}, "v3": {"0-800": -3.4}}}


class Latex(unittest.TestCase):
    def setUp(self):
        if not shutil.which("pdflatex"):
            self.skipTest("pdflatex is not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def check(self, runs):
        subprocess.run([TEMPLORA, "report", *runs, "--format", "latex", "--out", self.path / "tables.tex"], check=True,
                       capture_output=True)
        self.assertNotIn("resizebox", (self.path / "tables.tex").read_text(encoding="utf-8"))
        (self.path / "paper.tex").write_text("\\documentclass[10pt,twocolumn]{article}\n\\usepackage[utf8]{inputenc}\n"
                                             "\\usepackage{booktabs}\n\\begin{document}\n\\input{tables}\n"
                                             "\\end{document}\n", encoding="utf-8")
        done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "paper"], cwd=self.path, check=False,
                              capture_output=True, text=True, errors="replace")
        self.assertEqual(done.returncode, 0, done.stdout[-3000:])
        self.assertEqual(re.findall(r"Overfull \\hbox.*", done.stdout), [])

    def test_a_sweep_with_seeds(self):
        self.check(make_grid(self.path / "runs", chunks=(50, 100, 200), contexts=(50, 100)))

    def test_one_run_with_values_of_the_paper(self):
        make_run(self.path / "run", notes=PAPER)
        self.check([self.path / "run"])

    def test_runs_that_differ_in_many_keys(self):
        for i in range(4):
            make_run(self.path / f"r{i}", {"window.chunk_tokens": 50 + 10 * i, "train.learning_rate": 0.001 * (i + 1),
                                           "lora.rank": 8 << i, "window.context_tokens": 40 + i}, books=2)
        self.check([self.path / f"r{i}" for i in range(4)])


if __name__ == "__main__":
    unittest.main()
