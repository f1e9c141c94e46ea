#include "core/data_manifest.h"

#include "catch.h"
#include "core/fixtures.h"
#include "core/json.h"

using namespace templora;
using templora_test::TempFolder;
using templora_test::Thrown;
using templora_test::thrown_by;

namespace {

constexpr const char* kHashOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A manifest with one set of one file, and these fields of the file and of the set besides or instead.
std::string manifest(const Json& file, const Json& set = {}) {
  Json entry{{"name", "books"}, {"folder", "data/books"}, {"what", "books"}, {"licence", "none"}, {"get", "./get"}};
  entry["files"] = Json::array({Json{{"name", "a.txt"}}});
  if (!file.is_null()) entry["files"][0].update(file);
  if (!set.is_null()) entry.update(set);
  return Json{{"format", 1}, {"sets", Json::array({entry})}}.dump();
}

struct Place {
  TempFolder folder;
  fs::path file = folder / "manifest.json";

  std::vector<DataSet> read(const std::string& text) const {
    write_file_atomically(file, text);
    return read_data_manifest(file);
  }
};

}  // namespace

TEST_CASE("read_data_manifest: what a set and its files are", "[unit]") {
  const Place place;
  const Json file{{"bytes", 3}, {"sha256", kHashOfAbc}, {"tokens", {{"llama-2", 2}, {"yi-6b", 1}}}, {"from", "…"}};
  const std::vector<DataSet> sets = place.read(manifest(file, {{"unknown", "much"}}));
  REQUIRE(sets.size() == 1);
  CHECK(sets[0].name == "books");
  CHECK(sets[0].folder == "data/books");
  CHECK(sets[0].unknown == "much");
  REQUIRE(sets[0].files.size() == 1);
  CHECK(sets[0].files[0].bytes == 3);
  CHECK(sets[0].files[0].sha256 == kHashOfAbc);
  CHECK(sets[0].files[0].tokens == std::vector<std::pair<std::string, std::int64_t>>{{"llama-2", 2}, {"yi-6b", 1}});
  const DataFile bare = place.read(manifest({{"name", "sub/b-*.bin"}, {"sha256", nullptr}}))[0].files[0];
  CHECK(bare.name == "sub/b-*.bin");
  CHECK_FALSE(bare.bytes);
  CHECK_FALSE(bare.sha256);
}

TEST_CASE("read_data_manifest: what is wrong is named in one line, and nothing leads out of its folder", "[unit]") {
  const Place place;
  const auto refused = [&](const std::string& text, const std::string& part) {
    const Thrown error = thrown_by([&] { place.read(text); });
    INFO(text << "\n" << error.message);
    CHECK(error.code == Exit::bad_input);
    CHECK(error.says("manifest.json"));
    CHECK(error.says(part));
    CHECK_FALSE(error.says("\n"));
  };
  for (const char* name : {"../a", "/etc/a", "a/../../b", "", "-o", ".a", "a//b", "a/", "a\nb"}) {
    refused(manifest({{"name", name}}), "does not lead out");
    refused(manifest({}, {{"folder", name}}), "folder");
  }
  refused(manifest({}, {{"name", "../books"}}), "name");
  for (const char* hash : {"", "abc", "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"})
    refused(manifest({{"sha256", hash}}), "64 lower-case hex digits");
  refused(manifest({{"bytes", -1}}), "bytes");
  refused(manifest({{"bytes", "3"}}), "bytes");
  refused(manifest({{"tokens", {{"llama-2", -2}}}}), "tokens");
  refused(manifest({{"tokens", 3}}), "tokens");
  refused(manifest({{"sha265", kHashOfAbc}}), "sha265");  // would be a file without a hash
  refused(manifest({}, {{"licensce", "none"}}), "licensce");
  refused(manifest({{"name", "*.txt"}, {"bytes", 3}}), "one file");
  const Json twice = Json::array({Json{{"name", "a.txt"}}, Json{{"name", "a.txt"}}});
  refused(manifest({}, {{"files", twice}}), "a.txt twice");
  refused(manifest({}, {{"files", Json::array()}}), "files");
  refused(R"({"format": 1, "sets": []})", "sets");
  refused(R"({"format": 2, "sets": []})", "format");
  refused("[]", "object");
  refused("{", "manifest.json");
}

TEST_CASE("check_data_file: right, there, wrong, missing", "[unit]") {
  const TempFolder folder;
  write_file_atomically(folder / "a.txt", "abc");
  fs::create_directories(folder / "sub");
  const auto state = [&](const DataFile& file) {
    return std::string(word_of(check_data_file(file, folder.path()).state));
  };
  CHECK(state({"a.txt", 3, kHashOfAbc, {}}) == "right");
  CHECK(state({"a.txt", {}, kHashOfAbc, {}}) == "right");
  CHECK(state({"a.txt", 3, {}, {}}) == "there");
  CHECK(state({"a.txt", 4, kHashOfAbc, {}}) == "wrong");
  CHECK(state({"a.txt", 3, std::string(64, '0'), {}}) == "wrong");
  CHECK(state({"sub", {}, {}, {}}) == "wrong");
  CHECK(state({"b.txt", 3, kHashOfAbc, {}}) == "missing");
  CHECK(state({"*.txt", {}, {}, {}}) == "there");
  CHECK(state({"*.bin", {}, {}, {}}) == "missing");
  const CheckedFile wrong = check_data_file({"a.txt", 3, std::string(64, '0'), {}}, folder.path());
  CHECK(wrong.detail == "SHA-256: got " + std::string(kHashOfAbc) + ", wanted " + std::string(64, '0'));
  CHECK(check_data_file({"a.txt", 4, {}, {}}, folder.path()).detail == "bytes: got 3, wanted 4");
}

TEST_CASE("how_to_get: the command for what the shipped manifest names, wherever it is looked for", "[unit]") {
  CHECK(how_to_get("/x/data/pg19/349.txt") == "; ./scripts/get-data pg19 gets it");
  CHECK(how_to_get("/x/data/pg19/*.txt").find("; ./scripts/get-data pg19 gets the 40 PG-19 books") == 0);
  CHECK(how_to_get("../../data/guofeng/*.train").find("; ./scripts/get-data guofeng gets") == 0);
  CHECK(how_to_get("data/pretrain/austen_emma.txt") == "; ./scripts/get-data heldout gets it");
  CHECK(how_to_get("data/pretrain/zola_money.txt") == "; ./scripts/get-data pretrain gets it");
  CHECK(how_to_get("data/pretrain/*.txt").find("; ./scripts/get-data pretrain gets") == 0);
  CHECK(how_to_get("/x/build/data/kjv.txt") == "; ./scripts/make_bible gets it");
  CHECK(how_to_get("/x/models/Yi-6B-Chat").find("; ./scripts/get-data Yi-6B-Chat gets") == 0);
  CHECK(how_to_get("/elsewhere/smollm2-135m/").find("; ./scripts/get-model smollm2-135m gets") == 0);
  for (const char* own : {"/x/books/349.txt", "pg19/349.txt", "349.txt", "data/my/349.txt", "/x/models/mine", "/", ""})
    CHECK(how_to_get(own).empty());
}
