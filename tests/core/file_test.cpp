#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cstring>
#include <optional>
#include <string>

#include "catch.h"
#include "fixtures.h"

using namespace templora;
using templora_test::FullDisk;
using templora_test::TempFolder;
using templora_test::Thrown;
using templora_test::thrown_by;

TEST_CASE("read_file: content comes back whole, NUL bytes and all", "[unit]") {
  const TempFolder folder;
  for (const std::string& content : {std::string(), std::string("a\0b\n", 4), std::string(100000, 'x')}) {
    write_file_atomically(folder / "f", content);
    CHECK(read_file(folder / "f") == content);
  }
}

TEST_CASE("read_file: what is not a regular file is refused by name", "[unit]") {
  const TempFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const auto& [path, part] : {std::pair{folder.path(), "folder"},
                                   {folder / "absent", "No such file"},
                                   {folder / "pipe", "pipe"},
                                   {fs::path("/dev/null"), "device"}}) {
    const Thrown error = thrown_by([&] { read_file(path); });
    CHECK(error.code == Exit::bad_input);
    CHECK(error.says(path.string() + ": "));
    CHECK(error.says(part));
    CHECK(thrown_by([&] { MappedFile{path}; }).says(part));
  }
  CHECK(thrown_by([] { read_file(fs::path(std::string("a\0b", 3))); }).says("NUL"));
}

TEST_CASE("write_file_atomically: replaces the content and leaves nothing beside it", "[unit]") {
  const TempFolder folder;
  write_file_atomically(folder / "f", "old, and longer");
  write_file_atomically(folder / "f", "new");
  CHECK(read_file(folder / "f") == "new");
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: a full disk leaves the old content and no temporary file", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "state.json";
  write_file_atomically(path, "old");
  Thrown error;
  {
    const FullDisk full(4096);
    error = thrown_by([&] { write_file_atomically(path, std::string(10000, 'x')); });
  }
  CHECK(error.code == Exit::resources);
  CHECK(error.says(path.string()));
  CHECK(error.says("File too large"));
  CHECK(read_file(path) == "old");
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: a missing folder and a folder in the way are named", "[unit]") {
  const TempFolder folder;
  fs::create_directory(folder / "d");
  CHECK(thrown_by([&] { write_file_atomically(folder / "no" / "f", "x"); }).says("No such file"));
  const Thrown error = thrown_by([&] { write_file_atomically(folder / "d", "x"); });
  CHECK(error.code == Exit::resources);
  CHECK(error.says((folder / "d").string()));
  CHECK(folder.entries() == 1);
}

TEST_CASE("write_file_atomically: a pipe keeps its name", "[unit]") {
  const TempFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(thrown_by([&] { write_file_atomically(folder / "pipe", "x"); }).says("a device or a pipe"));
  CHECK(fs::is_fifo(folder / "pipe"));
  CHECK(folder.entries() == 1);
}

TEST_CASE("AtomicFile: nothing appears before commit, nor without it", "[unit]") {
  const TempFolder folder;
  {
    AtomicFile file(folder / "f");
    file.write("part one, ");
    CHECK_FALSE(fs::exists(folder / "f"));
    CHECK(folder.entries() == 1);
  }
  CHECK(folder.entries() == 0);
  AtomicFile first(folder / "f"), second(folder / "f");
  first.write("1");
  second.write("2");
  second.commit();
  first.commit();
  CHECK(read_file(folder / "f") == "1");
  CHECK(folder.entries() == 1);
}

TEST_CASE("AppendFile: cuts to what the state says was valid and grows from there", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "chunks.jsonl";
  {
    AppendFile file(path, 0);
    file.append("one\ntwo\nhal");
    CHECK(read_file(path) == "one\ntwo\nhal");
  }
  AppendFile opened(path, 8);
  AppendFile file(std::move(opened));
  CHECK(file.size() == 8);
  const float values[] = {1.5f, -2.0f};
  file.append(std::span<const float>(values));
  file.sync();
  CHECK(file.size() == 16);
  const std::string content = read_file(path);
  REQUIRE(content.size() == 16);
  CHECK(content.substr(0, 8) == "one\ntwo\n");
  CHECK(std::memcmp(content.data() + 8, values, 8) == 0);
}

TEST_CASE("AppendFile: a file shorter than the state says is refused and stays as it is", "[unit]") {
  const TempFolder folder;
  write_file_atomically(folder / "f", "abc");
  const Thrown error = thrown_by([&] { AppendFile(folder / "f", 4); });
  CHECK(error.code == Exit::bad_input);
  CHECK(error.says("got 3 bytes"));
  CHECK(read_file(folder / "f") == "abc");
  CHECK(thrown_by([&] { AppendFile(folder / "absent", 1); }).says("is missing"));
  CHECK_FALSE(fs::exists(folder / "absent"));
  CHECK(thrown_by([] { AppendFile("/dev/full", 0); }).says("/dev/full: "));
}

TEST_CASE("AppendFile: a full disk is reported and leaves no half record", "[unit]") {
  const TempFolder folder;
  AppendFile file(folder / "f", 0);
  file.append("whole\n");
  Thrown error;
  {
    const FullDisk full(4096);
    error = thrown_by([&] { file.append(std::string(10000, 'x')); });
  }
  CHECK(error.code == Exit::resources);
  CHECK(error.says((folder / "f").string()));
  CHECK(error.says("File too large"));
  CHECK(read_file(folder / "f") == "whole\n");
  file.append("more\n");
  CHECK(read_file(folder / "f") == "whole\nmore\n");
}

TEST_CASE("MappedFile: bytes are those of the file, also after release and when empty", "[unit]") {
  const TempFolder folder;
  std::string content(50000, ' ');
  for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 31 % 251);
  write_file_atomically(folder / "f", content);
  write_file_atomically(folder / "empty", "");
  MappedFile opened(folder / "f");
  const MappedFile file(std::move(opened));
  REQUIRE(file.bytes().size() == content.size());
  file.release(100, 20000);
  file.release(49999, 1000000);
  file.release(60000, 1);
  CHECK(std::memcmp(file.bytes().data(), content.data(), content.size()) == 0);
  CHECK(MappedFile(folder / "empty").bytes().empty());
}

TEST_CASE("expand_globs: sorted within a pattern, patterns in order, no duplicates", "[unit]") {
  const TempFolder folder;
  for (const char* name : {"b.txt", "a.txt", "c.md", ".hidden.txt", "x[1].txt"})
    write_file_atomically(folder / name, "");
  fs::create_directories(folder / "sub1");
  write_file_atomically(folder / "sub1" / "d.txt", "");
  const auto names = [&](const std::vector<std::string>& patterns) {
    std::string out;
    for (const fs::path& path : expand_globs(patterns, folder.path()))
      out += path.lexically_relative(folder.path()).string() + " ";
    return out;
  };
  CHECK(names({"*.txt"}) == "a.txt b.txt x[1].txt ");
  CHECK(names({"c.md", "?.txt", "[ab].txt", "./a.txt"}) == "c.md a.txt b.txt ");
  CHECK(names({"sub?/*.txt"}) == "sub1/d.txt ");
  CHECK(names({"x[1].txt"}) == "x[1].txt ");
  CHECK(names({(folder / "a*").string()}) == "a.txt ");
  for (const std::string pattern : {"*.epub", "absent.txt", "", "x[2].txt"}) {
    const Thrown error = thrown_by([&] { expand_globs({"a.txt", pattern}, folder.path()); });
    CHECK(error.code == Exit::bad_input);
    CHECK(error.says(pattern + ": "));
  }
}

TEST_CASE("expand_globs: what is missing is named as it was given, with the folder it was looked for in", "[unit]") {
  const auto message = [](const std::string& pattern, const fs::path& base) {
    return thrown_by([&] { expand_globs({pattern}, base); }).message;
  };
  CHECK(message("/no/such.txt", ".") == "/no/such.txt: no such file");
  CHECK(message("/no/my\\[1\\]/a.txt", ".") == "/no/my[1]/a.txt: no such file");
  CHECK(message("/no/*.txt", "") == "/no/*.txt: no file fits this pattern, wanted at least one");
  CHECK(message("such.txt", "/no") == "such.txt: no such file under /no; relative paths start there");
}

TEST_CASE("expand_globs: special characters in the base folder stand for themselves", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "b[a]*" );
  write_file_atomically(folder / "b[a]*" / "f.txt", "");
  CHECK(expand_globs({"*.txt"}, folder / "b[a]*").size() == 1);
}
