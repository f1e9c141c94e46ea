"""templora merge and average, looked at by transformers and numpy (docs/adapt.md). Skipped where the Python has
neither: scripts/reference_python.py --transformers 5 makes one that has both."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

try:
    import numpy as np
    import torch
    import transformers
    from peft import PeftModel
    from safetensors.numpy import load_file
    from transformers import AutoModelForCausalLM
    transformers.logging.disable_progress_bar()
    MISSING = ""
except ImportError as error:
    MISSING = str(error)

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ["TEMPLORA_BUILD"]) / "templora"
GOLDENS = ROOT / "tests" / "goldens"
FAMILIES = ["mistral_window", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "rope_theta_inside"]


def templora(*arguments):
    done = subprocess.run([str(PROGRAM), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{arguments}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def logits(folder, adapter=None, dtype=None):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype or torch.float32, attn_implementation="eager")
    if adapter:
        model = PeftModel.from_pretrained(model, str(adapter))
    ids = torch.arange(40)[None] * 7 % model.config.vocab_size
    with torch.no_grad():
        return model.eval()(input_ids=ids).logits[0]


@unittest.skipIf(MISSING, MISSING)
class Adapters(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def adapter(self, golden, base):
        """A copy of a golden adapter that names its base."""
        copy = self.root / f"adapter-of-{base}"
        shutil.copytree(golden, copy)
        config = json.loads((copy / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = base
        (copy / "adapter_config.json").write_text(json.dumps(config))
        return copy

    def test_transformers_opens_what_merge_writes(self):
        cases = [(GOLDENS / "families" / name, GOLDENS / "families" / name / "adapter") for name in FAMILIES]
        cases.append((GOLDENS / "model" / "gqa", GOLDENS / "lora" / "all_targets"))
        for base, golden in cases:
            with self.subTest(base.name):
                adapter, out = self.adapter(golden, base.name), self.root / f"merged-{base.name}"
                templora("merge", "--model", base, "--adapter", adapter, "--out", out)
                wanted = logits(base, adapter)
                self.assertLessEqual((logits(out) - wanted).abs().max().item(), 1e-5)
                self.assertGreater((logits(base) - wanted).abs().max().item(), 1e-2)
                model, info = AutoModelForCausalLM.from_pretrained(out, output_loading_info=True)
                self.assertEqual(model.dtype, torch.float32)
                self.assertFalse(info["missing_keys"] or info["unexpected_keys"], info)

    def test_bfloat16_is_said_in_the_config(self):
        base = GOLDENS / "model" / "gqa"
        adapter, out = self.adapter(GOLDENS / "lora" / "all_targets", "gqa"), self.root / "merged"
        templora("merge", "--model", base, "--adapter", adapter, "--out", out, "--dtype", "bfloat16")
        self.assertEqual(AutoModelForCausalLM.from_pretrained(out, dtype="auto").dtype, torch.bfloat16)

    def test_average_is_what_numpy_makes_of_whole_matrices(self):
        folders = [GOLDENS / "average" / name for name in ("first", "second", "third")]
        for rank in (2, 5):
            out = self.root / f"mean-{rank}"
            table = templora("average", *folders, "--rank", rank, "--out", out)
            mean, config = load_file(out / "adapter_model.safetensors"), json.loads(
                (out / "adapter_config.json").read_text())
            kept = total = 0.0
            for name in [name for name in mean if ".lora_A." in name]:
                other = name.replace(".lora_A.", ".lora_B.")
                whole = 0
                for folder in folders:
                    given, settings = load_file(folder / "adapter_model.safetensors"), json.loads(
                        (folder / "adapter_config.json").read_text())
                    whole = whole + given[other].astype(float) @ given[name].astype(float) * (
                        settings["lora_alpha"] / settings["r"] / len(folders))
                u, s, vh = np.linalg.svd(whole, full_matrices=False)
                best = (u[:, :rank] * s[:rank]) @ vh[:rank]
                got = mean[other].astype(float) @ mean[name].astype(float) * config["lora_alpha"] / config["r"]
                np.testing.assert_allclose(got, best, atol=1e-6)
                kept, total = kept + (s[:rank] ** 2).sum(), total + (s ** 2).sum()
            self.assertIn(f"| {100 * kept / total:.2f} % | | |", table)

    def test_peft_opens_an_average(self):
        first = self.adapter(GOLDENS / "lora" / "all_targets", "gqa")
        templora("average", first, first, "--out", self.root / "mean")
        base = GOLDENS / "model" / "gqa"
        difference = (logits(base, self.root / "mean") - logits(base, first)).abs().max().item()
        self.assertLessEqual(difference, 1e-5)


if __name__ == "__main__":
    unittest.main()
