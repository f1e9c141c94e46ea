"""scripts/get-data against a web server on the loopback that plays the hosts: what it fetches, goes on with, and
refuses."""

import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
BOOK = b"It was late in the autumn when the old mill burned.\n" * 4000
RAW = (b"The Project Gutenberg EBook\r\n*** START OF THIS PROJECT GUTENBERG EBOOK MILL ***\r\n\r\n"
       b"Produced by A. B.\r\n\r\nThe mill.\r\n\r\n\r\nEnd of the Project Gutenberg EBook of Mill\r\n"
       b"*** END OF THIS PROJECT GUTENBERG EBOOK MILL ***\r\nlicence\r\n")
CUT = b"Produced by A. B.\n\nThe mill.\n"


def sha256(content):
    return hashlib.sha256(content).hexdigest()


class Host(http.server.BaseHTTPRequestHandler):
    """Serves server.files; breaks off after server.breaks.pop() bytes as long as there are such."""

    def do_GET(self):
        server = self.server
        content = server.files.get(self.path)
        asked = self.headers.get("Range")
        server.requests.append((self.path, asked))
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and server.ranges else 0
        if content is None:
            return self.send_error(404)
        if start and start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        rest = content[start:]
        self.wfile.write(rest[:server.breaks.pop()] if server.breaks else rest)
        self.close_connection = True
        return None

    def log_message(self, *_):
        pass


@unittest.skipUnless(shutil.which("curl"), "curl is not installed")
class GetData(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        (self.root / "data").mkdir()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Host)
        self.server.files, self.server.requests, self.server.breaks, self.server.ranges = {}, [], [], True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.host = f"http://127.0.0.1:{self.server.server_address[1]}/"

    def manifest(self, files, **more):
        entry = {"name": "books", "what": "books", "folder": "data/books", "licence": "none",
                 "get": "./scripts/get-data", "from": self.host, "files": files, **more}
        self.sets(entry)

    def sets(self, *entries):
        (self.root / "data/manifest.json").write_text(json.dumps({"format": 1, "sets": entries}))

    def serve(self, name, content):
        self.server.files["/" + name] = content
        return {"name": name, "bytes": len(content), "sha256": sha256(content)}

    def get(self, *arguments, **environment):
        command = [sys.executable, SCRIPTS / "get-data", "--manifest", self.root / "data/manifest.json", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False,
                              env={**os.environ, "no_proxy": "127.0.0.1", **environment})

    def refused(self, done, code, *parts):
        self.assertEqual(done.returncode, code, done.stderr)
        for part in parts:
            self.assertIn(part, done.stderr.splitlines()[-1])
        self.assertNotIn("Traceback", done.stderr)

    def names(self, folder="data/books"):
        path = self.root / folder
        return sorted(file.name for file in path.iterdir()) if path.exists() else None

    def test_fetches_checks_and_leaves_alone_what_is_there(self):
        self.manifest([self.serve("a.txt", BOOK), self.serve("b.txt", b"short\n")])
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.strip(), str(self.root / "data/books"))
        self.assertEqual(self.names(), ["a.txt", "b.txt"])
        self.assertEqual((self.root / "data/books/a.txt").read_bytes(), BOOK)
        before = len(self.server.requests)
        self.assertEqual(self.get("books").returncode, 0)
        self.assertEqual(len(self.server.requests), before)

    def test_files_with_addresses_of_their_own(self):
        self.server.files["/Mill%20at%20Night.txt"] = BOOK
        self.sets({"name": "books", "what": "", "folder": "data/books", "licence": "", "get": "", "files": [
            {"name": "mill.txt", "sha256": sha256(BOOK), "from": self.host + "Mill%20at%20Night.txt"}]})
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), ["mill.txt"])

    def test_a_set_that_another_script_makes_is_named_with_it(self):
        self.sets({"name": "m", "what": "", "folder": "models/m", "licence": "", "get": "./scripts/get-model m",
                   "files": [{"name": "config.json"}]})
        self.refused(self.get("m"), 2, "./scripts/get-model m makes this one")

    def test_what_breaks_off_goes_on_where_it_was(self):
        self.manifest([self.serve("a.txt", BOOK)])
        self.server.breaks = [50000]
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.requests, [("/a.txt", None), ("/a.txt", "bytes=50000-")])
        self.assertEqual((self.root / "data/books/a.txt").read_bytes(), BOOK)

    def test_the_next_start_goes_on_too(self):
        self.manifest([self.serve("a.txt", BOOK)])
        self.server.breaks = [0, 0, 50000]
        self.refused(self.get("books"), 4, "a.txt", "50000 bytes came", "start again")
        self.assertEqual(self.names(), [".a.txt.part"])  # under no name that anything reads
        self.server.breaks = []
        self.assertEqual(self.get("books").returncode, 0)
        self.assertEqual(self.server.requests[-1], ("/a.txt", "bytes=50000-"))
        self.assertEqual(self.names(), ["a.txt"])
        self.assertEqual((self.root / "data/books/a.txt").read_bytes(), BOOK)

    def test_a_whole_part_is_named_without_the_network(self):
        self.manifest([self.serve("a.txt", BOOK)])
        (self.root / "data/books").mkdir()
        (self.root / "data/books/.a.txt.part").write_bytes(BOOK)
        self.assertEqual(self.get("books").returncode, 0)
        self.assertEqual((self.names(), self.server.requests), (["a.txt"], []))

    def test_a_server_that_cannot_go_on_is_asked_from_the_start(self):
        self.manifest([self.serve("a.txt", BOOK)])
        self.server.breaks, self.server.ranges = [50000], False
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.root / "data/books/a.txt").read_bytes(), BOOK)

    def test_another_file_than_the_known_one_is_not_kept(self):
        for wanted, part in [({"sha256": sha256(b"x")}, "SHA-256: got"), ({"bytes": 7}, "bytes: got 6, wanted 7")]:
            self.manifest([{**self.serve("a.txt", b"other\n"), **wanted}])
            self.refused(self.get("books"), 3, "a.txt", part, "nothing was kept")
            self.assertIsNone(self.names())

    def test_a_wrong_file_that_is_there_is_named_and_kept(self):
        self.manifest([self.serve("a.txt", BOOK)])
        (self.root / "data/books").mkdir()
        (self.root / "data/books/a.txt").write_bytes(b"my notes")
        self.refused(self.get("books"), 3, "books/a.txt: bytes: got 8", "remove it")
        self.assertEqual((self.root / "data/books/a.txt").read_bytes(), b"my notes")

    def test_a_file_of_unknown_hash_that_is_not_there_stops_no_other(self):
        self.manifest([{"name": "gone.txt"}, self.serve("a.txt", BOOK)])
        self.refused(self.get("books"), 4, "1 of 2 did not come", "gone.txt", "404")
        self.assertEqual(self.names(), ["a.txt"])

    def test_a_known_file_that_is_not_there(self):
        self.manifest([{"name": "gone.txt", "bytes": 3, "sha256": sha256(b"abc")}])
        self.refused(self.get("books"), 4, "gone.txt", "404")
        self.assertIsNone(self.names())

    def test_names_that_lead_out_are_refused(self):
        for name in ["../a.txt", "/etc/a.txt", "a/../../b.txt", "", "-o", ".a", "a//b", "a\nb", 3]:
            self.manifest([{"name": name, "bytes": 1}])
            self.refused(self.get("books"), 3, "name")
        for folder in ["../out", "/out", "data/../../out"]:
            self.manifest([self.serve("a.txt", BOOK)], folder=folder)
            self.refused(self.get("books"), 3, "name")
        self.assertEqual(self.server.requests, [])
        self.assertEqual(sorted(file.name for file in self.root.iterdir()), ["data"])

    def test_addresses_of_files_of_this_machine_are_refused(self):
        secret = self.root / "secret.txt"
        secret.write_text("mine\n")
        self.manifest([{"name": "a.txt", "from": f"file://{secret}"}])
        self.refused(self.get("books"), 4, "file")
        self.assertIsNone(self.names())

    def test_a_book_of_project_gutenberg_is_cut(self):
        self.server.files["/mill.txt"] = RAW
        self.manifest([{"name": "mill.txt", "bytes": len(CUT), "sha256": sha256(CUT)}], cut="gutenberg")
        self.server.breaks = [30]
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual((self.root / "data/books/mill.txt").read_bytes(), CUT)

    def test_books_of_an_archive_are_found_by_what_they_hold(self):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, content in [("top/M/Mill.txt", RAW), ("../out.txt", b"out\n"), ("top/M/other.txt", b"other")]:
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        self.server.files["/all.tar.gz"] = packed.getvalue()
        entry = {"name": "books", "what": "", "folder": "data/books", "licence": "", "get": "", "cut": "gutenberg",
                 "archive": self.host + "all.tar.gz",
                 "files": [{"name": "mill.txt", "bytes": len(CUT), "sha256": sha256(CUT)}]}
        self.sets(entry)
        done = self.get("books")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.names(), ["mill.txt"])
        entry["files"].append({"name": "more.txt", "bytes": 1, "sha256": sha256(b"m")})
        self.sets(entry)
        self.refused(self.get("books"), 3, "1 of 1 books are not in it", "more.txt")
        self.server.files["/all.tar.gz"] = packed.getvalue()[:60]
        self.refused(self.get("books"), 3, "cannot be unpacked")
        self.assertEqual(self.names(), ["mill.txt"])

    def model(self, content, brought):
        """A set of a hub, and an `hf` that brings `brought` and notes how it was called."""
        self.sets({"name": "m", "what": "", "folder": "models/m", "licence": "", "get": "",
                   "hub": {"repository": "org/m", "revision": "abc"},
                   "files": [{"name": "config.json"}, {"name": "sub/w.bin", "sha256": sha256(content)},
                             {"name": "*.txt"}]})
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        (tools / "hf").write_text(f"""#!{sys.executable}
import pathlib, sys
print(*sys.argv[1:], file=open({str(self.root / 'called')!r}, "a"))
folder = pathlib.Path(sys.argv[sys.argv.index("--local-dir") + 1])
for name, content in {brought!r}.items():
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
""")
        (tools / "hf").chmod(0o755)
        return self.get("m", PATH=f"{tools}:{os.environ['PATH']}")

    def test_a_model_comes_by_hf_and_is_checked(self):
        done = self.model(b"weights", {"config.json": b"{}", "sub/w.bin": b"weights", ".cache/x": b"", "a.txt": b"a"})
        self.assertEqual(done.returncode, 0, done.stderr)
        where = f"--revision abc --local-dir {self.root / 'models/.m.part'}"
        self.assertEqual((self.root / "called").read_text(), f"download org/m config.json sub/w.bin {where}\n"
                                                             f"download org/m --include *.txt {where}\n")
        self.assertEqual(self.names("models"), ["m"])
        self.assertEqual(self.names("models/m"), ["a.txt", "config.json", "sub"])
        self.assertEqual((self.root / "models/m/sub/w.bin").read_bytes(), b"weights")

    def test_other_weights_get_no_name(self):
        self.refused(self.model(b"weights", {"config.json": b"{}", "sub/w.bin": b"forged!"}), 3, "sub/w.bin: SHA-256")
        self.assertFalse((self.root / "models/m/sub/w.bin").exists())
        self.refused(self.model(b"weights", {"config.json": b"{}"}), 3, "hf brought no such file")

    def test_without_hf_the_line_says_how_to_have_it(self):
        self.model(b"", {})
        (self.root / "tools/hf").unlink()
        for tool in ["curl", "env"]:
            with contextlib.suppress(FileExistsError):
                (self.root / "tools" / tool).symlink_to("/usr/bin/" + tool)
        self.refused(self.get("m", PATH=str(self.root / "tools")), 4, "hf: not found", "pip install huggingface_hub")

    def test_names_of_sets(self):
        self.manifest([self.serve("a.txt", BOOK)])
        self.assertIn("books", self.get("--list").stdout)
        for arguments in [[], ["boks"], ["books", "boks"], ["--lst"]]:
            done = self.get(*arguments)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (2, 1), done.stderr)
        self.assertIsNone(self.names())

    def test_manifests_that_are_none(self):
        for text in ["", "{", "[]", "{}", '{"sets": 3}', '{"sets": [{"name": "a"}]}']:
            (self.root / "data/manifest.json").write_text(text)
            self.refused(self.get("books"), 3, "manifest")

    def test_the_shipped_manifest_has_a_way_to_everything(self):
        sets = json.loads((SCRIPTS.parent / "data/manifest.json").read_text())["sets"]
        names = [entry["name"] for entry in sets]
        for entry in sets:
            if "get-data" in entry["get"]:
                self.assertTrue({"from", "hub", "archive", "made_of"} & entry.keys() or
                                all("from" in file for file in entry["files"]), entry["name"])
            command = entry["get"].split()
            self.assertTrue((SCRIPTS.parent / command[0]).exists(), command)
            for name in [*command[1:], *entry.get("made_of", [])]:
                self.assertIn(name, names)

    def test_the_shipped_manifest_has_what_was_read_of_the_authors_data(self):
        table = SCRIPTS.parents[1] / "shared/data/manifest.tsv"
        if not table.exists():
            self.skipTest(f"{table}: not here")
        sets = json.loads((SCRIPTS.parent / "data/manifest.json").read_text())["sets"]
        files = {f"{entry['name']}/{file['name']}": file for entry in sets for file in entry["files"]}
        lines = [line.split("\t") for line in table.read_text().splitlines()[1:]]
        self.assertEqual(len(lines), 65)
        for name, size, digest, tokens in lines:
            self.assertEqual((files[name]["bytes"], files[name]["sha256"]), (int(size), digest), name)
            if tokens:
                self.assertEqual(files[name]["tokens"]["llama-2"], int(tokens), name)
        self.assertEqual(sum(file["tokens"]["llama-2"] for name, file in files.items() if name.startswith("pg19/")),
                         11138876)


if __name__ == "__main__":
    unittest.main()
