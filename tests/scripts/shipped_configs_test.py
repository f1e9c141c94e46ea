"""Every shipped config on a clone without data and weights: it runs, shortened, or its one line names the command
that gets what is missing; whoever follows the lines gets it to run. What the commands would fetch is made up: tiny
models, and texts under the names of data/manifest.json."""

import array
import concurrent.futures
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("TEMPLORA_BUILD", ROOT / "build")) / "templora"
SETS = {entry["name"]: entry for entry in json.loads((ROOT / "data/manifest.json").read_text())["sets"]}
COMMAND = re.compile(r"; (\./scripts/[\w-]+(?: ([\w.-]+))?) gets (it|[^\n]*)$")
NOTE = re.compile(r"templora: (run folder: |\d+ threads?: |bfloat16 is slow )")  # no error
CHATML = ["<|im_start|>", "<|im_end|>"]
# These need nothing but the shipped model and the Bible's text, which the first start of scripts/templora writes.
RUN_ON_A_CLONE = {"quickstart.json", "bible.json", "recall/small.json", "recipe/small-model.json",
                  *(f"cost/small-{name}.json"
                    for name in ["economy", "luxury", "luxury-cached", "plain", "plain-cached"]),
                  *(f"generate/{name}.json" for name in ["small", "small-plain", "small-parallelized"])}
MOST_STEPS = 4  # what a config may ask for: a model, its texts, more texts, a text of one's own


def made_up_text(name, words):
    source = random.Random(name)
    return " ".join(source.choice(["mill", "river", "autumn", "window", "letter", "Emma", "the", "of", "and"])
                    for _ in range(words)) + ".\n"


def make_model(folder):
    """A random Llama of one layer with the shipped tokenizer, positions for any window, and ChatML's tokens."""
    shutil.copytree(ROOT / "models/small-6m", folder, ignore=shutil.ignore_patterns("*.safetensors", "README.md"))
    config = json.loads((folder / "config.json").read_text())
    first = config["vocab_size"]
    config.update(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
                  num_key_value_heads=2, head_dim=16, max_position_embeddings=32768, tie_word_embeddings=True,
                  vocab_size=first + len(CHATML), torch_dtype="float32")
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "added_tokens.json").write_text(json.dumps({token: first + i for i, token in enumerate(CHATML)}))
    layer = "model.layers.0."
    shapes = {"model.embed_tokens.weight": [config["vocab_size"], 32], "model.norm.weight": [32],
              layer + "input_layernorm.weight": [32], layer + "post_attention_layernorm.weight": [32],
              **{f"{layer}self_attn.{name}_proj.weight": [32, 32] for name in "qkvo"},
              layer + "mlp.gate_proj.weight": [48, 32], layer + "mlp.up_proj.weight": [48, 32],
              layer + "mlp.down_proj.weight": [32, 48]}
    source, header, parts, at = random.Random(3), {}, [], 0
    for name, shape in shapes.items():
        count = shape[0] * (shape[1] if len(shape) > 1 else 1)
        part = array.array("f", (source.gauss(0, 0.1) for _ in range(count))).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


def made_up_novel(name):
    pairs = [{"zh": f"{name} {i}", "en": made_up_text(f"{name} {i}", 6).strip()} for i in range(2)]
    return json.dumps([{"contexts": {"k1": [], "k3": []}, "inference": pairs},
                       {"contexts": {"k1": pairs, "k3": pairs}, "inference": pairs[:1]}])


class Clone:
    """A checkout with its configs and the shipped model, and no ../shared."""

    def __init__(self, folder, model):
        self.root, self.model = folder, model
        shutil.copytree(ROOT / "configs", folder / "configs")
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data/manifest.json", folder / "data")
        (folder / "models").mkdir()
        (folder / "models/small-6m").symlink_to(ROOT / "models/small-6m")
        self.write("build/data/kjv.txt", made_up_text("kjv", 600))

    def write(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def get(self, name, named):
        """What the command that gets a set would bring; of forty books those that configs name."""
        entry = SETS[name]
        if entry["folder"].startswith("models/"):
            (self.root / entry["folder"]).symlink_to(self.model)
            return
        for file in (file["name"] for file in entry["files"]):
            if file.endswith(".train") or (file.endswith(".txt") and (name != "pg19" or file in named)):
                self.write(f"{entry['folder']}/{file}",
                           made_up_novel(file) if file.endswith(".train") else made_up_text(file, 300))

    def run(self, *arguments):
        return subprocess.run([PROGRAM, *arguments], cwd=self.root, capture_output=True, text=True, check=False,
                              env={**os.environ, "OMP_NUM_THREADS": "1"})


def read_config(file):
    """Sections of a config, those of the file that it extends first."""
    config = json.loads(file.read_text())
    return {**read_config(file.parent / config["extends"]), **config} if "extends" in config else config


def shortened(config):
    """The arguments that make a config's run short; float32, which every CPU is quick at."""
    kind = config["experiment"]
    if kind == "generation":
        chunk = config.get("window", {}).get("chunk_tokens", 1024)
        sets = {"generate.tokens": chunk}
    elif kind == "translation":
        sets = {"generate.max_new_tokens": 2}
    elif kind == "pretrain":
        sets = {"pretrain.tokens": 4096, "pretrain.sequence_tokens": 64}
    else:
        sets = {"data.max_tokens": 40}  # one chunk: scored, learnt
        if "recall" in config:
            sets["recall.facts"] = 0  # which that has no room for
    sets["model.dtype"] = "float32"
    return [word for key, value in sets.items() for word in ("--set", f"{key}={value}")]


class ShippedConfigs(unittest.TestCase):
    maxDiff = None

    def follow(self, name, folder, model, named):
        """Starts a config, and gets what each line asks for. → (commands that were asked for, what went wrong)."""
        clone, asked = Clone(folder, model), []
        if name.startswith("sweeps/"):
            arguments = ["sweep", f"configs/{name}", "--dry-run", "--out", "out"]
        else:
            arguments = ["run", f"configs/{name}", "--out", "out", *shortened(read_config(ROOT / "configs" / name))]
        for _ in range(MOST_STEPS + 1):
            done = clone.run(*arguments)
            if done.returncode == 0:
                return asked, "" if done.stdout else "nothing was printed"
            lines = [line for line in done.stderr.splitlines() if not NOTE.match(line)]
            if done.returncode != 3 or not lines:
                return asked, f"exit {done.returncode}: {done.stderr}"
            shutil.rmtree(folder / "out", ignore_errors=True)
            for line in lines:
                if "--set generate.prompt_file=" in line and "prompt" not in asked:
                    clone.write("data/prompt.txt", made_up_text("prompt", 20))
                    asked.append("prompt")
                    continue
                match = COMMAND.search(line)
                if not match or match[1] not in {entry["get"] for entry in SETS.values()} or match[1] in asked:
                    return asked, f"asks for nothing, or again for the same: {line}"
                if not (ROOT / match[1].split()[0]).exists():
                    return asked, f"no such command: {line}"
                asked.append(match[1])
                clone.get(match[2], named)
        return asked, "asks for too much"

    def test_each_config_runs_or_says_what_it_needs(self):
        self.assertTrue(PROGRAM.exists(), f"{PROGRAM}: not built")
        files = sorted((ROOT / "configs").rglob("*.json"))
        names = [file.relative_to(ROOT / "configs").as_posix() for file in files]
        named = set(re.findall(r"pg19/(\d+\.txt)", " ".join(file.read_text() for file in files)))
        self.assertEqual(len(named), 12)
        with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(2) as pool:
            root = pathlib.Path(folder)
            make_model(root / "model")
            places = [root / f"{number}/clone" for number in range(len(names))]
            for place in places:
                place.mkdir(parents=True)
            results = dict(zip(names, pool.map(lambda name, place: self.follow(name, place, root / "model", named),
                                               names, places)))
        problems = {name: problem for name, (_, problem) in results.items() if problem}
        self.assertEqual(problems, {})
        self.assertEqual({name for name, (asked, _) in results.items() if not asked}, RUN_ON_A_CLONE)
        # Each set of the manifest's that is no part of COMET is asked for by some config.
        commands = {command for asked, _ in results.values() for command in asked}
        wanted = {entry["get"] for name, entry in SETS.items() if name not in
                  {"bible", "wmt22-comet-da", "wmt22-comet-da-checkpoint", "xlm-roberta-large"}}
        self.assertEqual(commands - {"prompt"}, wanted)

    def test_a_pretraining_of_which_only_the_held_out_books_are_there(self):
        with tempfile.TemporaryDirectory() as folder:
            clone = Clone(pathlib.Path(folder) / "clone", None)
            clone.get("heldout", ())
            done = clone.run("run", "configs/pretrain/small.json", "--out", "out")
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn("matches the name of no book", done.stderr.splitlines()[-1])
            self.assertIn("./scripts/get-data pretrain gets", done.stderr.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
