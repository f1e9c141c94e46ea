"""templora as a library: the examples are built against an installed copy, outside the tree, and print what the program
records; as a folder of another project it brings the library alone. Label: slow"""

import array
import json
import math
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ["TEMPLORA_BUILD"])

COUNT_TOKENS = r'''#include <cstdio>
#include "text/tokenizer.h"
int main(int, char** words) {
  const templora::Tokenizer tokenizer(words[1]);
  std::printf("%zu\n", tokenizer.encode(words[2], false).size());
}
'''


def run(*command, code=0, **options):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, **options)
    if done.returncode != code:
        raise AssertionError(f"{command}: exit code {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return done


class Library(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.root = pathlib.Path(folder.name).resolve()
        cls.prefix = cls.root / "prefix"
        run("cmake", "--install", BUILD, "--prefix", cls.prefix)
        shutil.copytree(ROOT / "examples", cls.root / "examples")
        text = (ROOT / "docs" / "architecture.md").read_bytes()
        (cls.root / "book.txt").write_bytes(text)
        (cls.root / "config.json").write_text(json.dumps({
            "model": {"path": str(ROOT / "models" / "small-6m")},
            "data": {"books": ["book.txt"], "max_tokens": 1000},
            "window": {"chunk_tokens": 128, "context_tokens": 128},
            "lora": {"rank": 8, "dropout": 0},
            "train": {"prefix_tokens": 128, "learning_rate": 0.001},
            "run": {"threads": 1}}))
        run(cls.prefix / "bin" / "templora", "run", cls.root / "config.json", "--out", cls.root / "run")

    def configure(self, example, *options, code=0, **more):
        source = self.root / "examples" / example
        build = self.root / f"build-{example}-{len(list(self.root.iterdir()))}"
        return build, run("cmake", "-S", source, "-B", build, "-G", "Ninja", *options, code=code, **more)

    def write_project(self, name, *lines):
        folder = self.root / "examples" / name
        folder.mkdir()
        head = ["cmake_minimum_required(VERSION 3.20)", f"project({name} LANGUAGES CXX)"]
        (folder / "CMakeLists.txt").write_text("\n".join([*head, *lines, ""]))
        return folder

    def build(self, example, *options):
        build, _ = self.configure(example, f"-DCMAKE_PREFIX_PATH={self.prefix}", *options)
        run("cmake", "--build", build)
        return build / example

    def recorded(self, arm):
        nll = array.array("f")
        nll.frombytes((self.root / "run" / "nll" / f"0-{arm}.f32").read_bytes())
        return list(nll)

    def test_token_nll_prints_what_a_run_records(self):
        program = self.build("token_nll", "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror")
        lines = run(program, self.root / "config.json").stdout.splitlines()
        self.assertEqual(lines[0].split("\t"), ["token", "text", "base", "Temp-LoRA"])
        rows = [line.split("\t") for line in lines[1:]]
        self.assertEqual(len(rows), 999)
        self.assertEqual([int(row[0]) for row in rows], list(range(1, 1000)))
        for column, arm in ((2, "base"), (3, "lora")):
            for row, nll in zip(rows, self.recorded(arm), strict=True):
                self.assertAlmostEqual(float(row[column]), nll, delta=1e-5)
        text = "".join(json.loads(row[1]) for row in rows)
        self.assertIn("small temporary\nLoRA is trained on what was just read", text)
        # Another value of the command line counts, and bad ones are told in a line.
        fewer = run(program, self.root / "config.json", "data.max_tokens=256").stdout.splitlines()  # two chunks
        self.assertEqual(fewer, lines[:256])
        for arguments, words in (([], "usage"), ([self.root / "config.json", "train.lr=1"], "train.lr"),
                                 ([self.root / "none.json"], "none.json")):
            done = run(program, *arguments, code=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(words, done.stderr)

    def test_own_updater_steps_by_its_own_rule(self):
        # Where a project asks for an older standard, the library's is taken.
        program = self.build("own_updater", "-DCMAKE_CXX_STANDARD=17")
        lines = run(program, self.root / "config.json").stdout.splitlines()
        self.assertEqual(lines[0].split("\t"), ["tokens", "base", "config's", "Lion"])
        tokens, base, by_config, by_lion = map(float, lines[-1].split("\t"))
        self.assertEqual((len(lines), tokens), (1 + 8, 999))
        for printed, arm in ((base, "base"), (by_config, "lora")):
            nll = self.recorded(arm)
            self.assertAlmostEqual(printed / math.exp(sum(nll) / len(nll)), 1, delta=1e-5)
        self.assertLess(by_lion, base)  # it learns
        self.assertNotAlmostEqual(by_lion, by_config, delta=0.01)
        first = lines[1].split("\t")
        self.assertEqual(first[1], first[2])  # before the first step nothing is learnt, by any rule
        self.assertEqual(first[1], first[3])

    def test_a_room_alone_needs_no_torch(self):
        folder = self.write_project("tokens", "find_package(templora REQUIRED)", "add_executable(tokens main.cpp)",
                                    "target_link_libraries(tokens PRIVATE templora::text)")
        (folder / "main.cpp").write_text(COUNT_TOKENS)
        program = self.build("tokens")
        self.assertGreater(int(run(program, ROOT / "models/small-6m", "It was late in the autumn").stdout), 4)
        self.assertNotIn("torch", run("readelf", "-d", program).stdout)

    def test_the_package_names_nothing_of_the_tree_but_torch(self):
        package = next(self.prefix.glob("lib*/cmake/templora"))
        for file in package.glob("templora-targets*.cmake"):
            self.assertNotIn(str(ROOT), file.read_text(), file)
        self.assertTrue((self.prefix / "include/templora/experiment/temp_lora.h").exists())
        self.assertEqual(list(self.prefix.rglob("*.cpp")), [package / "mkl_symbol.cpp"])

    def test_another_torch_or_version_is_refused_by_name(self):
        torch = self.root / "other" / "torch"
        (torch / "lib").mkdir(parents=True)
        (torch / "version.py").write_text("__version__ = '2.99.0'\n")
        (torch / "lib" / "libtorch_cpu.so").touch()
        prefix = f"-DCMAKE_PREFIX_PATH={self.prefix}"
        _, done = self.configure("own_updater", prefix, f"-DTorch_DIR={torch}", code=1)
        said = " ".join(done.stderr.split())
        self.assertIn("LibTorch 2.99.0, cpu; this templora was built with 2.", said)
        _, done = self.configure("own_updater", prefix, f"-DTorch_DIR={self.root}", code=1)
        self.assertIn("holds no torch", " ".join(done.stderr.split()))
        self.write_project("newer", "find_package(templora 0.99 REQUIRED)")
        _, done = self.configure("newer", prefix, code=1)
        self.assertIn("0.99", done.stderr)

    def test_a_folder_of_another_project_brings_the_library_alone(self):
        options = [f"-DTEMPLORA_SOURCE={ROOT}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON"]
        cache = (BUILD / "CMakeCache.txt").read_text().splitlines()
        options += ["-D" + line for line in cache if line.startswith("Torch_DIR:") and not line.endswith("=")]
        build, _ = self.configure("token_nll", *options)
        targets = {line.split(":")[0] for line in run("ninja", "-C", build, "-t", "targets", "all").stdout.splitlines()}
        self.assertIn("token_nll", targets)
        self.assertIn("templora/libtemplora_experiment.a", targets)
        self.assertEqual([name for name in targets if name.startswith(("test_", "templora/test_"))], [])
        self.assertFalse({"templora/templora", "templora/test_core", "tests"} & targets)
        self.assertEqual(run("ctest", "--test-dir", build, "-N").stdout.count("Test #"), 0)
        self.assertNotIn("templora", (build / "cmake_install.cmake").read_text().replace(str(build), ""))
        # What the library asks of its users reaches the example, and nothing else: no warnings, no precompiled header.
        commands = {pathlib.Path(entry["file"]): entry["command"]
                    for entry in json.loads((build / "compile_commands.json").read_text())}
        own = commands[self.root / "examples/token_nll/main.cpp"].split()
        self.assertIn(f"-I{ROOT}/libtemplora", own)
        self.assertIn("-fopenmp", own)
        self.assertTrue({"-std=gnu++20", "-std=c++20"} & set(own))
        self.assertFalse([word for word in own if word.startswith("-W") or "pch" in word], own)
        library = next(command for command in commands.values() if "templora_experiment.dir" in command).split()
        self.assertIn("-Wall", library)
        self.assertNotIn("-Werror", library)
        run("ninja", "-C", build, "CMakeFiles/token_nll.dir/main.cpp.o")  # alone: the library's objects are as in ours


if __name__ == "__main__":
    unittest.main()
