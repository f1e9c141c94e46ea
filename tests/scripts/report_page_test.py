"""The page of `templora report --format html` in headless Chromium: nothing is cut or leaves its place at the widths of
a telephone, a tablet and a desk."""

import json
import os
import pathlib
import subprocess
import tempfile
import unittest

import chromium
from made_runs import make_grid, make_run, make_translation

ROOT = pathlib.Path(__file__).resolve().parents[2]
TEMPLORA = pathlib.Path(os.environ["TEMPLORA_BUILD"]) / "templora"

PAPER = {"paper_version": ["v1", "v3"], "paper_value": {"0-800": {"base": 5.5, "temp_lora": None}}}


class Page(unittest.TestCase):
    def setUp(self):
        if not chromium.find():
            self.skipTest("Chromium is not installed")
        self.folder = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.folder.name)

    def tearDown(self):
        self.folder.cleanup()

    def page(self, runs):
        page = self.path / "report.html"
        subprocess.run([TEMPLORA, "report", *runs, "--format", "html", "--out", page], check=True, capture_output=True)
        return page

    def check(self, runs):
        measured = chromium.measure(self.page(runs), self.path)
        self.assertEqual([one["width"] for one in measured], list(chromium.WIDTHS))
        for one in measured:
            self.assertEqual(one["found"], [], one["width"])
            self.assertGreater(one["texts"], 20)
            self.assertGreaterEqual(one["smallest"], 8, one["width"])

    def test_a_sweep(self):
        self.check(make_grid(self.path / "runs", chunks=(50, 100, 200), contexts=(50, 100, 150, 200)))

    def test_one_run_with_values_of_the_paper(self):
        make_run(self.path / "a run with a name that is long enough to be broken", notes=PAPER)
        self.check([self.path / "a run with a name that is long enough to be broken"])

    def test_runs_that_differ_in_many_keys(self):
        for i in range(5):
            settings = {"window.chunk_tokens": 50 + 10 * i, "train.learning_rate": 0.001 * (i % 3 + 1),
                        "lora.rank": 8 << (i % 2), "window.context_tokens": 40 + i}
            make_run(self.path / f"run-{i}", settings, books=2)
        self.check([self.path / f"run-{i}" for i in range(5)])

    def test_settings_with_long_names_and_values(self):
        for i in range(4):
            settings = {"window.chunk_tokens": 50 + 10 * i, "train.learning_rate": 0.00012345 * (i + 1),
                        "lora.rank": 8 << (i % 3), "window.context_tokens": 40 + i,
                        "train.prefix_tokens": 100 + 7 * i % 3,
                        "data.max_tokens": 3000 - i * i, "window.first_chunk_tokens": 60 + (i + 1) % 3}
            make_run(self.path / f"a-run-whose-name-is-not-short-{i}", settings, books=2)
        self.check([self.path / f"a-run-whose-name-is-not-short-{i}" for i in range(4)])

    def test_a_translation_with_its_tests(self):
        case = json.loads((ROOT / "tests/goldens/paired/cases.json").read_text(encoding="utf-8"))[1]
        make_translation(self.path / "run", case)
        page = self.page([self.path / "run"])
        text = page.read_text(encoding="utf-8")
        self.assertIn("mean difference over novels [95 % over novels]", text)
        self.assertIn("Temp-LoRA changes BLEU by +15.18", text)
        for one in chromium.measure(page, self.path):
            self.assertEqual(one["found"], [], one["width"])

    def test_what_is_cut_is_found(self):
        page = self.path / "wide.html"
        page.write_text("<!DOCTYPE html><body><p style='width:600px'>x</p><svg viewBox='0 0 100 100'>"
                        "<text x='90' y='50'>a long text</text></svg></body>", encoding="utf-8")
        found = chromium.measure(page, self.path, (390,))[0]["found"]
        self.assertTrue(any(line.startswith("page: ") for line in found), found)
        self.assertTrue(any("leaves the picture" in line for line in found), found)


if __name__ == "__main__":
    unittest.main()
