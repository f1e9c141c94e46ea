"""scripts/find_torch.py on made-up folders: which CUDA runtime a LibTorch is linked with, or why with none."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "find_torch.py"


class MadeUpTorch(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name).resolve()
        self.site = self.root / "venv" / "lib" / "python3.11" / "site-packages"
        self.torch = self.site / "torch"
        self.write(self.torch / "version.py", "__version__ = '2.14.1+cu130'\n")
        self.write(self.torch / "lib" / "libtorch_cpu.so", "")

    def write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def make_cuda(self, needed):
        self.write(self.torch / "lib" / "libtorch_cuda.so", "")
        self.write(self.torch / "lib" / "libc10_cuda.so", b"\x7fELF\0libc10.so\0" + needed.encode() + b"\0libc.so.6\0")

    def make_runtime(self, base, library, version):
        self.write(base / "include" / "cuda_runtime_api.h", f"#define CUDART_VERSION  {version}\n")
        self.write(base / "include" / "crt" / "host_defines.h", "")
        return self.write(base / ("lib64" if base.name == "toolkit" else "lib") / library, "")

    def find(self, **environment):
        clean = {**os.environ, "CUDA_HOME": str(self.root / "none"), **environment}
        command = [sys.executable, SCRIPT, "--dir", self.torch]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=clean)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines(), done.stderr

    def test_cpu_build(self):
        lines, said = self.find()
        self.assertEqual(lines, [str(self.torch), "2.14.1+cu130", "cpu", "1"])
        self.assertEqual(said, "")

    def test_wheel_of_cuda_13(self):
        self.make_cuda("libcudart.so.13")
        library = self.make_runtime(self.site / "nvidia" / "cu13", "libcudart.so.13", 13000)
        lines, said = self.find()
        self.assertEqual(lines[2:], ["cuda", "1", str(library), str(self.site / "nvidia" / "cu13" / "include")])
        self.assertEqual(said, "")

    def test_wheel_of_cuda_12_has_its_headers_in_two_folders(self):
        self.make_cuda("libcudart.so.12")
        runtime, crt = self.site / "nvidia" / "cuda_runtime", self.site / "nvidia" / "cuda_nvcc"
        library = self.make_runtime(runtime, "libcudart.so.12", 12080)
        (runtime / "include" / "crt" / "host_defines.h").unlink()
        self.write(crt / "include" / "crt" / "host_defines.h", "")
        lines, _ = self.find()
        self.assertEqual(lines[4:], [str(library), str(runtime / "include"), str(crt / "include")])

    def test_runtime_inside_a_plain_libtorch(self):
        self.make_cuda("libcudart-9335f6a2.so.12")
        library = self.write(self.torch / "lib" / "libcudart-9335f6a2.so.12", "")
        self.make_runtime(self.root / "toolkit", "libcudart.so.12", 12080)
        lines, _ = self.find(CUDA_HOME=str(self.root / "toolkit"))
        self.assertEqual(lines[4:], [str(library), str(self.root / "toolkit" / "include")])

    def test_toolkit(self):
        self.make_cuda("libcudart.so.13")
        library = self.make_runtime(self.root / "toolkit", "libcudart.so.13", 13010)
        lines, _ = self.find(CUDA_HOME=str(self.root / "toolkit"))
        self.assertEqual(lines[4:], [str(library), str(self.root / "toolkit" / "include")])

    def test_headers_of_another_version_are_not_taken(self):
        self.make_cuda("libcudart.so.13")
        self.make_runtime(self.root / "toolkit", "libcudart.so.12", 12080)
        self.write(self.site / "nvidia" / "cu13" / "lib" / "libcudart.so.13", "")
        lines, said = self.find(CUDA_HOME=str(self.root / "toolkit"))
        self.assertEqual(lines[2:], ["cuda", "1"])
        self.assertEqual(len(said.splitlines()), 1)
        self.assertIn("those of CUDA 12 do not fit", said)

    def test_nothing_there_is_said_in_one_line(self):
        self.make_cuda("libcudart.so.99")
        lines, said = self.find()
        self.assertEqual(lines[2:], ["cuda", "1"])
        self.assertEqual(len(said.splitlines()), 1)
        self.assertIn("no CUDA graphs", said)
        self.assertIn("libcudart.so.99", said)


if __name__ == "__main__":
    unittest.main()
