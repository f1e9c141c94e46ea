#include <algorithm>

#include "../core/fixtures.h"
#include "catch.h"
#include "config/config_inputs.h"
#include "core/file.h"

using namespace templora;
using namespace templora_test;

namespace {

Thrown missing(const TempFolder& folder, const std::string& config) {
  const LoadedConfig loaded = parse_config(config, "test.json", folder.path().string(), {});
  return thrown_by([&] { require_inputs(loaded); });
}

}  // namespace

TEST_CASE("require_inputs: all that is missing is told at once", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "model");
  write_file_atomically(folder / "model/config.json", "{}");
  write_file_atomically(folder / "a.txt", "a");
  CHECK(missing(folder, R"({"model": {"path": "model"}, "data": {"books": ["a.txt"]}})").message.empty());
  const Thrown all = missing(folder, R"({"model": {"path": "nowhere", "tokenizer": "/no/tokenizer.json"},
    "data": {"books": ["a.txt", "b.txt", "c/*.txt", "/no/such/book.txt"]}, "lora": {"init_from": "adapter"}})");
  CHECK(all.code == Exit::bad_input);
  const std::string here = folder.path().string();
  CHECK(all.message == here + "/nowhere: no such folder; model.path must name a Hugging Face model folder, or a "
                              "repository in the local Hugging Face cache (org/name)\n"
                              "model.tokenizer: /no/tokenizer.json: no such file or folder; name another with "
                              "--set model.tokenizer=PATH\n"
                              "data.books: " + here + "/b.txt: no such file\n"
                              "data.books: " + here + "/c/*.txt: no file fits this pattern, wanted at least one\n"
                              "data.books: /no/such/book.txt: no such file\n"
                              "lora.init_from: " + here + "/adapter: no such file or folder; name another with "
                              "--set lora.init_from=PATH");
}

TEST_CASE("require_inputs: what the run does not use need not be there", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "model");
  write_file_atomically(folder / "model/config.json", "{}");
  write_file_atomically(folder / "a.txt", "a");
  CHECK(missing(folder, R"({"model": {"path": "model"}, "data": {"books": ["a.txt"], "novels": ["n"],
    "control_books": ["c"]}, "score": {"base_scores": "kept"}, "generate": {"prompt_file": "p"}})")
            .message.empty());
  CHECK(missing(folder, R"({"experiment": "pretrain", "model": {"tokenizer": "model"}, "data": {"books": ["a.txt"],
    "validation": ["v.txt"]}, "pretrain": {"token_cache": "kept"}})")
            .message == "data.validation: " + (folder / "v.txt").string() + ": no such file");
  CHECK(missing(folder, R"({"experiment": "translation", "model": {"path": "model"}, "data": {"novels": ["a.txt"]},
    "translation": {"comet_model": "none"}})")
            .message.empty());
}

TEST_CASE("require_inputs: a missing path in a folder with brackets is named as it is", "[unit]") {
  const TempFolder folder;
  fs::create_directories(folder / "my[1]/model");
  write_file_atomically(folder / "my[1]/model/config.json", "{}");
  const LoadedConfig loaded = parse_config(R"({"model": {"path": "model"}, "data": {"books": ["b.txt"]}})", "t.json",
                                           (folder / "my[1]").string(), {});
  CHECK(thrown_by([&] { require_inputs(loaded); }).message ==
        "data.books: " + (folder / "my[1]/b.txt").string() + ": no such file");
}
