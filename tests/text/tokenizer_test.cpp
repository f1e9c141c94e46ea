#include "text/tokenizer.h"

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "text/scratch_folder.h"
#include "text/tokenizer_goldens.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

std::string model_bytes() { return read_file(kTokenizers / "bare" / "tokenizer.model"); }

/// How `path` is refused as a tokenizer.
std::string refused_file(const fs::path& path) {
  return refusal([&] { const Tokenizer tokenizer(path); });
}

/// A folder with the small model and one JSON file, and how it is refused.
std::string refused_with(const std::string& name, const std::string& json) {
  const ScratchFolder scratch;
  scratch.write("tokenizer.model", model_bytes());
  scratch.write(name, json);
  return refused_file(scratch.path());
}

std::string refused_config(const std::string& json) { return refused_with("tokenizer_config.json", json); }

}  // namespace

TEST_CASE("Tokenizer: a folder without JSON files and the bare model give the same ids", "[unit]") {
  const Tokenizer folder(kTokenizers / "bare");
  const Tokenizer file(kTokenizers / "bare" / "tokenizer.model");
  CHECK(folder.encode("Hello <s> world", true) == file.encode("Hello <s> world", true));
  CHECK(folder.hash() == file.hash());
  CHECK(folder.hash() != Tokenizer(kTokenizers / "added-new").hash());
  CHECK(folder.adds_bos());
  CHECK(folder.bos_id() == 1);
  CHECK(folder.eos_id() == 2);
}

TEST_CASE("Tokenizer: ids of exact tokens", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "added-new");
  CHECK(tokenizer.token_id("<s>") == 1);
  CHECK(tokenizer.token_id("<pad>") == 460);
  CHECK(tokenizer.token_id("<unk>") == 0);
  CHECK(tokenizer.token_id("<0x0A>") == 13);
  CHECK(tokenizer.token_id("<renamed>") == 5);
  CHECK(tokenizer.token_id("<0x02>") == -1);  // the piece that was renamed
  CHECK(tokenizer.token_id("no such piece") == -1);
  CHECK(tokenizer.token_id("") == -1);
}

TEST_CASE("Tokenizer: ends tell how much of the text the ids stand for", "[unit]") {
  const std::string text = "The sea \U0001f600<pad>is not";
  for (const char* name : {"bare", "added-new", "added-legacy", "no-prefix", "no-prefix-new"}) {
    CAPTURE(name);
    const Tokenizer tokenizer(kTokenizers / name);
    const EncodedText whole = tokenizer.encode_with_ends(text, false);
    REQUIRE(whole.ids.size() == whole.ends.size());
    CHECK(whole.ends.back() == text.size());
    for (std::size_t i = 0; i < whole.ids.size(); ++i) {
      const std::vector<std::int64_t> first(whole.ids.begin(), whole.ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      // An emoji's bytes count with the last of them, and bytes cut short decode to U+FFFD.
      const std::string decoded = tokenizer.decode(first, false);
      if (has(decoded, "\ufffd") || has(text.substr(0, whole.ends[i]), "<pad>")) continue;
      CHECK(decoded == text.substr(0, whole.ends[i]));
    }
  }
}

TEST_CASE("Tokenizer: text that is not UTF-8 is refused with the byte", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "bare");
  CHECK_THROWS_AS(tokenizer.encode("abc\xff", true), Error);
  try {
    tokenizer.encode("abc\xff", true);
  } catch (const Error& error) {
    CHECK(has(error.what(), "byte 3"));
  }
}

TEST_CASE("Tokenizer: decoding an id beyond the vocabulary is refused by number", "[unit]") {
  const Tokenizer tokenizer(kTokenizers / "bare");
  for (const std::int64_t id : {std::int64_t{460}, std::int64_t{-1}, std::int64_t{1} << 32, std::int64_t{1} << 62}) {
    try {
      tokenizer.decode({id}, false);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(has(error.what(), std::to_string(id)));
    }
  }
  CHECK(tokenizer.decode({}, false).empty());
}

TEST_CASE("Tokenizer: a file that is no sentencepiece model is refused", "[unit]") {
  const ScratchFolder scratch;
  const auto refused = [&](const std::string& content) {
    return refused_file(scratch.write("tokenizer.model", content));
  };
  CHECK(has(refused(""), "empty"));
  CHECK(has(refused("version https://git-lfs.example/spec/v1\noid sha256:00\nsize 499723\n"), "git-lfs pointer"));
  CHECK(has(refused("{\"version\": \"1.0\"}"), "model: got nothing"));  // read as a tokenizer.json
  CHECK(has(refused("some text\n"), "tokenizer.model"));
  CHECK(has(refused(std::string(4096, '\0')), "tokenizer.model"));
  CHECK(has(refused(std::string(4096, '\xff')), "tokenizer.model"));
  CHECK(has(refused(model_bytes() + "x"), "tokenizer.model"));
  CHECK(refused(model_bytes()).empty());
  CHECK(has(refused_file(scratch.path() / "missing"), "missing"));
}

TEST_CASE("Tokenizer: a model cut short anywhere is refused", "[unit]") {
  const ScratchFolder scratch;
  const std::string whole = model_bytes();
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes + 120 < whole.size() ? 83 : 1) {
    CAPTURE(bytes);
    const std::string text = refused_file(scratch.write("tokenizer.model", whole.substr(0, bytes)));
    // The last field may be one that a model can do without.
    if (bytes + 20 < whole.size()) CHECK(!text.empty());
  }
}

TEST_CASE("Tokenizer: a model with flipped bits is refused or works, and never crashes", "[unit]") {
  const ScratchFolder scratch;
  const std::string whole = model_bytes();
  std::uint32_t state = 1;
  for (int i = 0; i < 60; ++i) {
    std::string bytes = whole;
    for (int flip = 0; flip < 3; ++flip) {
      state = state * 1664525u + 1013904223u;
      bytes[(state >> 8) % bytes.size()] ^= static_cast<char>(1u << (state & 7));
    }
    try {
      const Tokenizer tokenizer(scratch.write("tokenizer.model", bytes));
      tokenizer.decode(tokenizer.encode("Some text \U0001f600 <s>", true), false);
    } catch (const Error&) {
    }
  }
  SUCCEED();
}

TEST_CASE("Tokenizer: another class beside a lone tokenizer.model is refused, with the way out", "[unit]") {
  CHECK(has(refused_config(R"({"tokenizer_class": "PreTrainedTokenizerFast"})"), "PreTrainedTokenizerFast"));
  CHECK(has(refused_config(R"({"tokenizer_class": "PreTrainedTokenizerFast"})"), "set model.tokenizer to "));
  CHECK(has(refused_with("config.json", R"({"tokenizer_class": "GemmaTokenizer"})"), "GemmaTokenizer"));
  CHECK(has(refused_config(R"({"tokenizer_class": 7})"), "tokenizer_class: got 7"));
  for (const std::string name : {"LlamaTokenizerFast", "LLaMATokenizer", "llama"})
    CHECK(refused_config(R"({"tokenizer_class": ")" + name + "\"}").empty());
}

TEST_CASE("Tokenizer: what other programs write beside a tokenizer.model is read as they read it", "[unit]") {
  const std::string tokens = R"("added_tokens_decoder": {"460": {"content": "<a>"}, "461": {"content": "<b>"}})";
  for (const std::string more : {R"("model_max_length": 1000000000000000019884624838656)",
                                 R"("x": NaN, "y": -Infinity)", R"("extra_special_tokens": [])",
                                 R"("extra_special_tokens": ["<a>", "<b>"])", R"("legacy": 7, "legacy": true)"}) {
    CAPTURE(more);
    const ScratchFolder scratch;
    scratch.write("tokenizer.model", model_bytes());
    scratch.write("tokenizer_config.json", "{" + tokens + ", " + more + "}");
    const Tokenizer tokenizer(scratch.path());
    CHECK(tokenizer.size() == 462);
    CHECK(tokenizer.special_token_id("<b>") == 461);
  }
  const ScratchFolder scratch;
  scratch.write("tokenizer.model", model_bytes());
  scratch.write("tokenizer_config.json", R"({"extra_special_tokens": ["<a>", {"content": "<b>"}]})");
  CHECK(Tokenizer(scratch.path()).special_token_id("<b>") == 461);
  CHECK(has(refused_config(R"({"extra_special_tokens": "<a>"})"), "extra_special_tokens: got \"<a>\""));
  CHECK(has(refused_config(R"({"added_tokens_decoder": {"460": {"content": "<a>", "lstrip": NaN}}})"),
            "lstrip: got nan"));
  CHECK(has(refused_with("added_tokens.json", R"({"<x>": 1000000000000000000000})"), "<x>: got 1e+21"));
}

TEST_CASE("Tokenizer: wrong fields of tokenizer_config.json are refused by name", "[unit]") {
  CHECK(has(refused_config("[]"), "top level"));
  CHECK(has(refused_config("{"), "tokenizer_config.json"));
  CHECK(has(refused_config(R"({"legacy": "no"})"), "legacy: got \"no\""));
  CHECK(has(refused_config(R"({"add_bos_token": 1})"), "add_bos_token: got 1"));
  CHECK(has(refused_config(R"({"bos_token": 7})"), "bos_token: got 7"));
  CHECK(has(refused_config(R"({"bos_token": null})"), "bos_token: got null"));
  CHECK(has(refused_config(R"({"unk_token": null, "legacy": false})"), "unk_token: got null"));
  CHECK(has(refused_config(R"({"additional_special_tokens": "<x>"})"), "additional_special_tokens"));
  CHECK(has(refused_config(R"({"sp_model_kwargs": {"enable_sampling": true}})"), "enable_sampling"));
  CHECK(refused_config(R"({"sp_model_kwargs": {"enable_sampling": false}})").empty());
}

TEST_CASE("Tokenizer: added tokens with ids that cannot be are refused", "[unit]") {
  const auto added = [](const std::string& key, const std::string& value) {
    return refused_config("{\"added_tokens_decoder\": {\"" + key + "\": " + value + "}}");
  };
  CHECK(added("460", R"({"content": "<x>"})").empty());
  CHECK(has(added("-1", R"({"content": "<x>"})"), "\"-1\""));
  CHECK(has(added("0x10", R"({"content": "<x>"})"), "\"0x10\""));
  CHECK(has(added("00", R"({"content": "<x>"})"), "\"00\""));
  CHECK(has(added("2147483648", R"({"content": "<x>"})"), "2147483648"));
  CHECK(has(added("99999999999999999999", R"({"content": "<x>"})"), "99999999999999999999"));
  CHECK(has(added("460", "\"<x>\""), "added_tokens_decoder.460"));
  CHECK(has(added("460", R"({"content": ""})"), "content"));
  CHECK(has(added("460", R"({"content": "<x>", "lstrip": 1})"), "lstrip: got 1"));
  CHECK(has(refused_config(R"({"added_tokens_decoder": {"460": {"content": "<x>"}, "461": {"content": "<x>"}}})"),
            "ids 460 and 461"));
  CHECK(has(refused_with("added_tokens.json", R"({"<x>": -1})"), "<x>: got -1"));
  CHECK(has(refused_with("added_tokens.json", R"({"<x>": 1.5})"), "<x>: got 1.5"));
  CHECK(has(refused_with("added_tokens.json", R"({"<x>": 18446744073709551615})"), "added_tokens.json"));
  CHECK(has(refused_with("added_tokens.json", R"({"<x>": 460, "<y>": 460})"), "<y>: got id 460"));
  // "<x>" has no id of its own; the next free count, 461, is where "<y>" sits.
  CHECK(has(refused_config(R"({"added_tokens_decoder": {"461": {"content": "<y>"}},
                                  "additional_special_tokens": ["<x>"]})"),
            "taken by \"<y>\""));
}
