#include "io/safetensors.h"

#include <bit>
#include <cstring>
#include <functional>
#include <random>

#include "../core/fixtures.h"
#include "catch.h"
#include "io/safetensors_format.h"
#include "io/weight_check.h"

using namespace templora;
using templora_test::FullDisk;
using templora_test::TempFolder;
using templora_test::Thrown;
using templora_test::thrown_by;

namespace {

/// A file of this header and this many bytes of tensors.
std::string file_of(const std::string& header, std::size_t data_bytes) {
  const std::uint64_t length = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + header + std::string(data_bytes, '\x01');
}

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + R"(":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
}

/// Opens a file of this content; wants Error(bad_input) naming the file.
Thrown refused(const std::string& content) {
  const TempFolder folder;
  const fs::path path = folder / "model.safetensors";
  write_file_atomically(path, content);
  const Thrown error = thrown_by([&] { SafetensorsFiles::open_file(path); });
  CHECK(error.code == Exit::bad_input);
  CHECK(error.message.find(path.string() + ": ") == 0);
  CHECK(error.message.find('\n') == std::string::npos);
  return error;
}

/// A shard with one float32 tensor of 2 elements.
std::string shard_with(const std::string& name) {
  return file_of("{" + entry(name, "\"F32\"", "[2]", "[0,8]") + "}", 8);
}

const std::string kIndex = "model.safetensors.index.json";

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

TEST_CASE("write_safetensors: every type, scalars and empty tensors come back as written", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "t.safetensors";
  std::vector<std::string> contents;
  std::vector<TensorToWrite> tensors;
  for (int type = 0; type <= static_cast<int>(StorageType::boolean); ++type) {
    const auto storage = static_cast<StorageType>(type);
    contents.push_back(std::string(3 * element_bytes(storage), static_cast<char>('a' + type)));
  }
  for (int type = 0; type <= static_cast<int>(StorageType::boolean); ++type) {
    const auto storage = static_cast<StorageType>(type);
    tensors.push_back({std::string("all.") + storage_type_name(storage), storage, {1, 3}, bytes_of(contents[type])});
  }
  const std::string scalar = "\x01\x02";
  tensors.push_back({"scalar \"quoted\" ü", StorageType::bf16, {}, bytes_of(scalar)});
  tensors.push_back({"empty", StorageType::f32, {4, 0, 2}, {}});
  write_safetensors(path, tensors, {{"format", "pt"}, {"step", "3"}});

  std::uint64_t header_bytes = 0;
  const std::string raw = read_file(path);
  std::memcpy(&header_bytes, raw.data(), 8);
  CHECK(header_bytes % 8 == 0);
  const auto files = SafetensorsFiles::open_file(path);
  CHECK(files.metadata() == std::map<std::string, std::string>{{"format", "pt"}, {"step", "3"}});
  REQUIRE(files.tensors().size() == tensors.size());
  for (const TensorToWrite& tensor : tensors) {
    const TensorSpan& read = files.at(tensor.name);
    CHECK(read.type == tensor.type);
    CHECK(read.shape == tensor.shape);
    REQUIRE(read.bytes.size() == tensor.bytes.size());
    CHECK(std::equal(read.bytes.begin(), read.bytes.end(), tensor.bytes.begin()));
    CHECK((read.bytes.data() - read.file->bytes().data()) % static_cast<std::ptrdiff_t>(element_bytes(read.type)) == 0);
  }
  const Thrown error = thrown_by([&] { files.at("lm_head.weight"); });
  CHECK(error.says(path.string()));
  CHECK(error.says("lm_head.weight"));
}

TEST_CASE("write_safetensors: a full disk leaves the earlier file", "[unit]") {
  const TempFolder folder;
  const fs::path path = folder / "state.safetensors";
  const std::string big(100000, 'x');
  write_safetensors(path, {});
  Thrown error;
  {
    const FullDisk full(8192);
    error = thrown_by([&] { write_safetensors(path, {{"w", StorageType::u8, {100000}, bytes_of(big)}}); });
  }
  CHECK(error.code == Exit::resources);
  CHECK(error.says(path.string()));
  CHECK(SafetensorsFiles::open_file(path).tensors().empty());
  CHECK(folder.entries() == 1);
}

TEST_CASE("SafetensorsFiles: a damaged start of a file is refused", "[unit]") {
  CHECK(refused("").says("0 bytes"));
  CHECK(refused("1234567").says("7 bytes"));
  CHECK(refused(std::string("\x10\0\0\0\0\0\0\0{}", 10)).says("cut off"));
  CHECK(refused(std::string(8, '\xff') + "{}").says("18446744073709551615"));
  CHECK(refused(std::string("\x01\xe1\xf5\x05\0\0\0\0{}", 10)).says("100000001"));
  CHECK(refused(file_of("", 0)).says("header"));
  CHECK(refused(file_of("{\"a\":", 0)).says("line 1"));
  CHECK(refused(file_of("[1]", 0)).says("array"));
  CHECK(refused(file_of(std::string(100000, '['), 0)).says("64 levels"));
  CHECK(refused(
            file_of("{" + entry("w", "\"F32\"", "[1]", "[0,4]") + "," + entry("w", "\"F32\"", "[1]", "[0,4]") + "}", 4))
            .says("\"w\""));
  CHECK(refused(file_of(R"({"__metadata__":{"step":3}})", 0)).says("__metadata__: step"));
  CHECK(refused(file_of(R"({"__metadata__":"x"})", 0)).says("__metadata__"));
  const Thrown pointer = refused("version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n");
  CHECK(pointer.says("git-lfs pointer"));
  CHECK(pointer.says("git lfs pull"));
}

TEST_CASE("SafetensorsFiles: a damaged tensor is refused by name", "[unit]") {
  struct Damage {
    std::string dtype, shape, offsets, part;
  };
  const std::vector<Damage> damages = {
      {"\"F8_E4M3\"", "[4]", "[0,4]", "got F8_E4M3"},
      {"\"U16\"", "[2]", "[0,4]", "got U16"},
      {"\"f32\"", "[1]", "[0,4]", "got f32"},
      {"7", "[1]", "[0,4]", "dtype: got no string"},
      {"\"F32\"", "[-1]", "[0,4]", "shape: got -1"},
      {"\"F32\"", "[1.0]", "[0,4]", "shape: got 1.0"},
      {"\"F32\"", "[\"1\"]", "[0,4]", "shape: got \"1\""},
      {"\"F32\"", "[[1]]", "[0,4]", "shape: got array"},
      {"\"F32\"", "[true]", "[0,4]", "shape: got true"},
      {"\"F32\"", "1", "[0,4]", "shape: got no array"},
      {"\"F32\"", "[4294967296,4294967296]", "[0,4]", "overflows"},
      {"\"F32\"", "[4611686018427387904]", "[0,0]", "overflows"},
      {"\"F32\"", "[0,4611686018427387904,4]", "[0,0]", "overflows"},
      {"\"F32\"", "[" + std::string(400, '1') + "]", "[0,4]", "number overflow"},
      {"\"F32\"", "[1]", "[0,8]", "got 8 bytes"},
      {"\"F32\"", "[2]", "[0,4]", "wants 8"},
      {"\"F32\"", "[1]", "[4,0]", "end is before"},
      {"\"F32\"", "[1]", "[-4,0]", "data_offsets: got -4"},
      {"\"F32\"", "[1]", "[0,4.0]", "data_offsets: got 4.0"},
      {"\"F32\"", "[1]", "[0]", "data_offsets"},
      {"\"F32\"", "[1]", "null", "data_offsets"},
      {"\"F32\"", "[2]", "[0,8]", "cut off"},
      {"\"F32\"", "[1]", "[9223372036854775803,9223372036854775807]", "cut off"},
  };
  for (const Damage& damage : damages) {
    CAPTURE(damage.dtype, damage.shape, damage.offsets);
    const Thrown error =
        refused(file_of("{" + entry("model.norm.weight", damage.dtype, damage.shape, damage.offsets) + "}", 4));
    CHECK(error.says(damage.part));
    CHECK((error.says(": model.norm.weight: ") || error.says("line 1")));
  }
  CHECK(refused(file_of(R"({"w":{"dtype":"F32","shape":[1]}})", 4)).says("w: data_offsets: is missing"));
  CHECK(refused(file_of(R"({"w":[]})", 4)).says(": w: "));
  std::string sizes = "[1";
  for (int i = 0; i < 64; ++i) sizes += ",1";
  CHECK(refused(file_of("{" + entry("w", "\"F32\"", sizes + "]", "[0,4]") + "}", 4)).says("65 sizes"));
}

TEST_CASE("SafetensorsFiles: tensors must fill the file side by side", "[unit]") {
  const auto two = [](const std::string& a, const std::string& b, std::size_t bytes) {
    return file_of("{" + entry("first", "\"U8\"", "[4]", a) + "," + entry("second", "\"U8\"", "[4]", b) + "}", bytes);
  };
  const Thrown overlap = refused(two("[0,4]", "[2,6]", 6));
  CHECK(overlap.says("second: its bytes overlap those of first"));
  CHECK(refused(two("[0,4]", "[0,4]", 4)).says("overlap"));
  CHECK(refused(two("[0,4]", "[6,10]", 10)).says("second: 2 bytes before it"));
  CHECK(refused(two("[1,5]", "[5,9]", 9)).says("first: 1 bytes before it"));
  CHECK(refused(two("[0,4]", "[4,8]", 9)).says("1 bytes after second"));
  CHECK(refused(file_of("{}", 3)).says("3 bytes after the header"));
  const TempFolder folder;
  write_file_atomically(folder / "f", two("[4,8]", "[0,4]", 8));
  CHECK(SafetensorsFiles::open_file(folder / "f").tensors().size() == 2);
}

TEST_CASE("SafetensorsFiles: a tensor's name cannot break a message into lines", "[unit]") {
  const Thrown error = refused(file_of("{" + entry("a\\nb\\u001b", "\"X\"", "[1]", "[0,4]") + "}", 4));
  CHECK(error.says(": a?b?: "));
}

TEST_CASE("SafetensorsFiles: shards are read together, through links as in a hub's cache", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "blobs");
  fs::create_directories(folder / "snapshots");
  write_file_atomically(folder / "blobs" / "01", shard_with("a"));
  write_file_atomically(folder / "snapshots" / "2.safetensors", shard_with("b"));
  fs::create_symlink("../blobs/01", folder / "snapshots" / "1.safetensors");
  write_file_atomically(folder / "snapshots" / kIndex,
                        R"({"metadata":{"total_size":16},"weight_map":{"b":"2.safetensors","a":"1.safetensors"}})");
  auto opened = SafetensorsFiles::open_folder(folder / "snapshots");
  const SafetensorsFiles files = std::move(opened);
  CHECK(files.tensors().size() == 2);
  CHECK(files.at("a").bytes.size() == 8);
  CHECK(files.at("a").file != files.at("b").file);
  CHECK(files.path() == folder / "snapshots");
}

TEST_CASE("SafetensorsFiles: a folder whose index and shards disagree is refused by name", "[unit]") {
  const TempFolder folder;
  const auto opening = [&](const std::string& index) {
    write_file_atomically(folder / kIndex, index);
    const Thrown error = thrown_by([&] { SafetensorsFiles::open_folder(folder.path()); });
    CHECK(error.code == Exit::bad_input);
    CHECK(error.says(folder.path().string()));
    return error;
  };
  write_file_atomically(folder / "1.safetensors", shard_with("a"));
  write_file_atomically(folder / "2.safetensors", shard_with("b"));
  write_file_atomically(folder / "copy.safetensors", shard_with("a"));
  CHECK(thrown_by([&] { SafetensorsFiles::open_folder(folder.path()); }).says("holds neither"));
  CHECK(thrown_by([&] { SafetensorsFiles::open_folder(folder / "absent"); }).says("is no folder"));

  for (const std::string shard : {"../1.safetensors", "/etc/passwd", "sub/../../1.safetensors", "..", ".", "", "./",
                                  "sub/", "sub\\\\1", "a\\u0000b"}) {
    CAPTURE(shard);
    const Thrown error = opening(R"({"weight_map":{"a":")" + shard + "\"}}");
    CHECK(error.says("in the same folder or below it"));
    CHECK(error.says("weight_map: a: "));
  }
  CHECK(opening(R"({"metadata":{}})").says("weight_map: is missing"));
  CHECK(opening(R"([])").says("weight_map: is missing"));
  CHECK(opening(R"({"weight_map":[]})").says("weight_map: got a value of type array"));
  CHECK(opening(R"({"weight_map":{}})").says("weight_map: is empty"));
  CHECK(opening(R"({"weight_map":{"a":1}})").says("weight_map: a: "));
  CHECK(opening("version https://git-lfs.github.com/spec/v1\n").says("git-lfs pointer"));

  const Thrown missing = opening(R"({"weight_map":{"a":"1.safetensors","c":"3.safetensors"}})");
  CHECK(missing.says("3.safetensors: is missing"));
  CHECK(missing.says("for c"));
  const Thrown swapped = opening(R"({"weight_map":{"a":"2.safetensors","b":"1.safetensors"}})");
  CHECK(swapped.says("1.safetensors: a: "));
  CHECK(swapped.says("in 2.safetensors"));
  CHECK(opening(R"({"weight_map":{"a":"1.safetensors","c":"copy.safetensors"}})")
            .says("copy.safetensors: a: is in an earlier shard"));

  fs::create_symlink("nowhere", folder / "dangling.safetensors");
  CHECK(opening(R"({"weight_map":{"a":"dangling.safetensors"}})").says("dangling.safetensors: cannot be opened"));
  fs::create_directories(folder / "d.safetensors");
  CHECK(opening(R"({"weight_map":{"a":"d.safetensors"}})").says("wanted a regular file"));
}

TEST_CASE("SafetensorsFiles: what a shard holds is there, whether the index lists it or not", "[unit]") {
  const TempFolder folder;
  write_file_atomically(folder / "1.safetensors", shard_with("a"));
  write_file_atomically(folder / "2.safetensors", shard_with("b"));
  write_file_atomically(folder / kIndex, R"({"weight_map":{"a":"1.safetensors","c":"2.safetensors"}})");
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder.path());
  CHECK(files.tensors().size() == 2);
  CHECK(files.at("b").bytes.size() == 8);
}

TEST_CASE("SafetensorsFiles: an index as other programs write it", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "sub");
  write_file_atomically(folder / "1.safetensors", shard_with("a"));
  write_file_atomically(folder / "sub" / "2.safetensors", shard_with("b"));
  // "./", a subfolder, a key twice, numbers that nobody reads, and the head of a tied model, which is not stored.
  write_file_atomically(folder / kIndex,
                        R"({"metadata": {"total_size": 1000000000000000019884624838656, "x": NaN}, "weight_map":
      {"a": "other.safetensors", "a": "./1.safetensors", "b": "sub/./2.safetensors", "head": "1.safetensors"}})");
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder.path());
  CHECK(files.tensors().size() == 2);
  CHECK(files.absent() == std::map<std::string, std::string>{{"head", "1.safetensors"}});
  check_weights(files, {{"a", {2}}, {"b", {2}}}, "");
  CHECK(thrown_by([&] { check_weights(files, {{"a", {2}}, {"b", {2}}, {"head", {2}}}, ""); })
            .says("missing: head (the index names 1.safetensors)"));
}

TEST_CASE("SafetensorsFiles: a folder of pickles is told how to convert them", "[unit]") {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    const TempFolder folder;
    write_file_atomically(folder / name, "x");
    const Thrown error = thrown_by([&] { SafetensorsFiles::open_folder(folder.path()); });
    CHECK(error.code == Exit::bad_input);
    CHECK(error.says(name));
    CHECK(error.says("save_pretrained('.')"));
  }
}

TEST_CASE("SafetensorsFiles: twenty thousand damaged headers are read or refused, nothing else", "[unit]") {
  const std::string valid =
      file_of("{\"__metadata__\":{\"format\":\"pt\"}," + entry("a.weight", "\"F32\"", "[2,3]", "[0,24]") + "," +
                  entry("b", "\"BF16\"", "[]", "[24,26]") + "," + entry("c", "\"I64\"", "[0]", "[26,26]") + "}",
              26);
  std::mt19937 random(20240607);
  const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
  const std::string pieces[] = {"0",   "9",  "-",  "[",  "]",           "{",   "}",    "\"",       ",",
                                ":",   ".5", "e9", "\\", "99999999999", "F32", "null", "a.weight", std::string(1, '\0'),
                                "\xff"};
  std::size_t opened = 0, refusals = 0, tensor_total = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string content = valid;
    for (std::size_t edits = 1 + below(3); edits > 0 && !content.empty(); --edits) {
      const std::size_t at = below(4) == 0 ? below(std::min<std::size_t>(content.size(), 10)) : below(content.size());
      switch (below(6)) {
        case 0: content[at] = static_cast<char>(random()); break;
        case 1: content[at] = static_cast<char>(content[at] ^ (1 << below(8))); break;
        case 2: content.resize(at); break;
        case 3: content.erase(at, 1 + below(8)); break;
        case 4: content.insert(at, pieces[below(std::size(pieces))]); break;
        default: content.insert(at, content, below(content.size()), below(40)); break;
      }
    }
    // The length follows the header half of the time, or most edits would only hit the length check.
    if (content.size() > 34 && below(2) == 0) {
      const std::uint64_t length = content.size() - 34;
      std::memcpy(content.data(), &length, 8);
    }
    // Exactly as many bytes as there are, so that an address sanitizer sees a read beyond them.
    const std::vector<char> bytes(content.begin(), content.end());
    try {
      const SafetensorsHeader header = parse_safetensors_header(std::as_bytes(std::span(bytes)), "f");
      for (const HeaderEntry& tensor : header.entries) {
        REQUIRE(tensor.begin + tensor.bytes <= bytes.size());
        tensor_total += tensor.bytes;
      }
      ++opened;
    } catch (const Error& error) {
      if (error.exit_code() != Exit::bad_input) FAIL(error.what());
      ++refusals;
    }
  }
  CHECK(opened > 100);  // both sides were reached
  CHECK(refusals > 10000);
  CHECK(tensor_total > 0);
}
