#include "text/json_tokenizer.h"

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "text/scratch_folder.h"
#include "text/text_stream.h"
#include "text/tokenizer.h"
#include "text/tokenizer_goldens.h"
#include "text/translation_prompt.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int64_t>;

Json golden_file(const std::string& name) {
  const fs::path path = kJsonTokenizers / name / "tokenizer.json";
  return parse_json(read_file(path), path.string());
}

/// How an action is refused, in a line that is not too long for a terminal.
std::string short_refusal(const std::function<void()>& action) {
  const std::string line = refusal(action);
  CHECK(line.size() < 700);
  return line;
}

/// How a golden tokenizer.json is refused once `change` was done to it.
std::string refusal_of(const std::string& name, const std::function<void(Json&)>& change) {
  const ScratchFolder scratch;
  Json json = golden_file(name);
  change(json);
  const fs::path file = scratch.write("tokenizer.json", json.dump());
  return short_refusal([&] { Tokenizer tokenizer(file); });
}

/// The golden tokenizer with `change` done to it, and with a tokenizer_config.json if one is given.
Tokenizer changed(const ScratchFolder& scratch, const std::string& name, const std::function<void(Json&)>& change,
                  const std::string& config = "{}") {
  Json json = golden_file(name);
  change(json);
  scratch.write("tokenizer.json", json.dump());
  scratch.write("tokenizer_config.json", config);
  return Tokenizer(scratch.path());
}

}  // namespace

TEST_CASE("JsonTokenizer: malformed fields are refused by name, on one line", "[unit]") {
  using Change = std::function<void(Json&)>;
  for (const auto& [part, change] : std::vector<std::pair<std::string, Change>>{
           {"model: got nothing", [](Json& j) { j.erase("model"); }},
           {"model: type: got \"Unigram\"", [](Json& j) { j["model"]["type"] = "Unigram"; }},
           {"model: dropout: got 0.1", [](Json& j) { j["model"]["dropout"] = 0.1; }},
           {"model: end_of_word_suffix", [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; }},
           {"model: vocab: got []", [](Json& j) { j["model"]["vocab"] = Json::array(); }},
           {"model: vocab: got -1", [](Json& j) { j["model"]["vocab"]["zz"] = -1; }},
           {"model: vocab: got 1e+30", [](Json& j) { j["model"]["vocab"]["zz"] = 1e30; }},
           {"the id 5 for", [](Json& j) { j["model"]["vocab"]["zz"] = 5; }},
           {"model: merges[0]: got \"a\"", [](Json& j) { j["model"]["merges"][0] = "a"; }},
           {"model: merges[0]: got [\"a\"]", [](Json& j) { j["model"]["merges"][0] = Json::array({"a"}); }},
           {"\"qqqq\" is not in model.vocab", [](Json& j) { j["model"]["merges"][0] = "qqqq a"; }},
           {"model: novelty: got 1", [](Json& j) { j["model"]["novelty"] = 1; }},
           {"normalizer: type: got \"NFKC\"", [](Json& j) { j["normalizer"] = {{"type", "NFKC"}}; }},
           {"normalizer.normalizers[1]: type: got \"Lowercase\"",
            [](Json& j) {
              j["normalizer"] = Json::parse(
                  R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Lowercase"}]})");
            }},
           {"pre_tokenizer: type: got \"Whitespace\"", [](Json& j) { j["pre_tokenizer"] = {{"type", "Whitespace"}}; }},
           {"behind ByteLevel",
            [](Json& j) {
              j["pre_tokenizer"] = Json::parse(
                  R"({"type":"Sequence","pretokenizers":[{"type":"ByteLevel"},{"type":"Digits"}]})");
            }},
           {"behavior: got \"Sideways\"",
            [](Json& j) {
              j["pre_tokenizer"] = Json::parse(R"({"type":"Split","pattern":{"String":"a"},"behavior":"Sideways"})");
            }},
           {"pattern: String: got null",
            [](Json& j) {
              j["pre_tokenizer"] = Json::parse(R"({"type":"Split","pattern":{},"behavior":"Isolated"})");
            }},
           {"[: in a class",
            [](Json& j) {
              j["pre_tokenizer"] = Json::parse(
                  R"({"type":"Split","pattern":{"Regex":"[[:alpha:]]"},"behavior":"Isolated"})");
            }},
           {"decoder: type: got \"CTC\"", [](Json& j) { j["decoder"] = {{"type", "CTC"}}; }},
           {"post_processor: type: got \"Odd\"", [](Json& j) { j["post_processor"] = {{"type", "Odd"}}; }},
           {"single: got",
            [](Json& j) {
              j["post_processor"] = Json::parse(R"({"type":"TemplateProcessing","single":[],"special_tokens":{}})");
            }},
           {"none for \"<x>\"",
            [](Json& j) {
              j["post_processor"] = Json::parse(
                  R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<x>"}},
                      {"Sequence":{"id":"A"}}],"special_tokens":{}})");
            }},
           {"the id 999999, which no token has",
            [](Json& j) {
              j["post_processor"] = Json::parse(R"({"type":"BertProcessing","cls":["a",999999],"sep":["b",1]})");
            }},
           {"added_tokens[0]: content", [](Json& j) { j["added_tokens"][0]["content"] = ""; }},
           {"added_tokens[0]: id: got \"0\"", [](Json& j) { j["added_tokens"][0]["id"] = "0"; }},
           {"got the id 7, but", [](Json& j) { j["added_tokens"][0]["id"] = 7; }},
           {"got the id 900, but as the tokenizer numbers its tokens it is 700",
            [](Json& j) { j["added_tokens"].push_back({{"id", 900}, {"content", "<new>"}}); }},
           {"600 bytes long",
            [](Json& j) {
              j["added_tokens"].push_back({{"id", 700}, {"content", std::string(600, 'x')}});
            }}}) {
    CAPTURE(part);
    CHECK(has(refusal_of("gpt2", change), part));
  }
  const ScratchFolder scratch;
  const auto of_text = [&](const char* json) {
    return short_refusal([&] { Tokenizer tokenizer(scratch.write("tokenizer.json", json)); });
  };
  CHECK(has(of_text("{\"a\": 1,"), "not valid JSON"));
  CHECK(has(of_text("{}"), "model: got nothing"));
}

TEST_CASE("JsonTokenizer: keys that nobody reads are not judged", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer plain(kJsonTokenizers / "gpt2");
  Json json = golden_file("gpt2");
  std::string text = json.dump();
  text.insert(1,
              "\"version\": \"9\", \"truncation\": {\"max_length\": 3}, \"x\": NaN, \"y\": 99999999999999999999, "
              "\"x\": -Infinity, ");
  const Tokenizer other(scratch.write("tokenizer.json", text));
  CHECK(other.encode("a longer text than three", true) == plain.encode("a longer text than three", true));
}

TEST_CASE("JsonTokenizer: merges as strings and as pairs are one tokenizer, another step is another", "[unit]") {
  const ScratchFolder one, two, three;
  const Tokenizer gpt2(kJsonTokenizers / "gpt2" / "tokenizer.json");
  const Tokenizer pairs = changed(one, "gpt2", [](Json& j) {
    for (Json& merge : j["model"]["merges"]) {
      const std::string text = merge.get<std::string>();
      merge = Json::array({text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)});
    }
  });
  CHECK(pairs.hash() == gpt2.hash());
  CHECK(pairs.encode("The voice of him", true) == gpt2.encode("The voice of him", true));
  const Tokenizer prefixed = changed(two, "gpt2", [](Json& j) { j["pre_tokenizer"]["add_prefix_space"] = true; });
  CHECK(prefixed.hash() != gpt2.hash());
  CHECK(prefixed.encode("The voice", false) == gpt2.encode(" The voice", false));
  const Tokenizer swapped =
      changed(three, "gpt2", [](Json& j) { std::swap(j["model"]["merges"][0], j["model"]["merges"][1]); });
  CHECK(swapped.hash() != gpt2.hash());
}

TEST_CASE("JsonTokenizer: the template alone says whether BOS and EOS are added", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer llama3 =
      changed(scratch, "llama3", [](Json&) {}, R"({"add_bos_token": false, "bos_token": "<|begin_of_text|>"})");
  CHECK(llama3.adds_bos());
  CHECK(llama3.encode("x", true).front() == llama3.bos_id());
  CHECK(llama3.encode("x", false).front() != llama3.bos_id());
  const Tokenizer qwen2(kJsonTokenizers / "qwen2");
  CHECK_FALSE(qwen2.adds_bos());
  CHECK(qwen2.bos_id() == -1);
  CHECK(qwen2.eos_id() == qwen2.token_id("<|im_end|>"));
  const Tokenizer tekken(kJsonTokenizers / "tekken");
  const EncodedText both = tekken.encode_with_ends("ab", true);
  CHECK(both.ids.back() == tekken.eos_id());
  CHECK((both.ends.front() == 0 && both.ends.back() == 2));
}

TEST_CASE("JsonTokenizer: only the text's first piece is the first, whatever was cut out before another", "[unit]") {
  const auto ids = [](bool normalized) {
    const ScratchFolder scratch;
    const Tokenizer llama2 = changed(scratch, "llama2-metaspace", [&](Json& json) {
      json["added_tokens"].push_back({{"id", json["model"]["vocab"].size()}, {"content", "<tool>"},
                                      {"single_word", false}, {"lstrip", false}, {"rstrip", false},
                                      {"normalized", normalized}, {"special", false}});
    });
    return llama2.encode("go<tool>go <tool> go", false);
  };
  CHECK(ids(true) == ids(false));
}

TEST_CASE("JsonTokenizer: white space that an added token took is not given again", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer gpt2 = changed(scratch, "gpt2", [](Json& json) {
    json["added_tokens"].push_back({{"id", json["model"]["vocab"].size()}, {"content", "\n\n"},
                                    {"single_word", false}, {"lstrip", true}, {"rstrip", true},
                                    {"normalized", false}, {"special", false}});
  });
  CHECK(gpt2.encode("a\n\n\n\n\n\nb", false) ==
        Ids{gpt2.token_id("a"), gpt2.special_token_id("\n\n"), gpt2.token_id("b")});
}

TEST_CASE("JsonTokenizer: named tokens in an object of their own are added", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer gpt2 = changed(scratch, "gpt2", [](Json&) {},
                                 R"({"model_specific_special_tokens": {"image_token": "<img>"}})");
  CHECK(gpt2.encode("<img>", false) == Ids{gpt2.special_token_id("<img>")});
  CHECK(gpt2.special_token_id("<img>") > 0);
}

TEST_CASE("JsonTokenizer: marks are added tokens only", "[unit]") {
  const Tokenizer qwen2(kJsonTokenizers / "qwen2");
  CHECK(qwen2.special_token_id("<|im_start|>") == qwen2.token_id("<|im_start|>"));
  CHECK(qwen2.special_token_id("<|im_start|>") > 0);
  CHECK(qwen2.token_id("\u0120the") > 0);
  CHECK(qwen2.special_token_id("\u0120the") == -1);
  CHECK(qwen2.token_id("no such piece") == -1);
  CHECK(qwen2.special_token_id("<tool>") == qwen2.size() - 1);
  CHECK(qwen2.decode({qwen2.special_token_id("<|im_start|>"), qwen2.token_id("\u0120the")}, true) == " the");
  CHECK(has(short_refusal([&] { qwen2.decode({100000}, false); }), "token id 100000"));
  CHECK(has(short_refusal([&] { qwen2.decode({-1}, false); }), "token id -1"));
  CHECK(has(short_refusal([&] { qwen2.decode({std::int64_t{1} << 33}, false); }), "token id 8589934592"));
}

TEST_CASE("JsonTokenizer: ends count a character with its last token", "[unit]") {
  const Tokenizer gpt2(kJsonTokenizers / "gpt2");
  const std::string text = "a\U0001f98a b";  // the fox is four bytes and no piece
  const EncodedText encoded = gpt2.encode_with_ends(text, false);
  REQUIRE(encoded.ids.size() >= 4);
  CHECK(encoded.ends.back() == text.size());
  for (const std::size_t end : encoded.ends) CHECK((end == 1 || end == 5 || end == 6 || end == 7));
  const Tokenizer llama2(kJsonTokenizers / "llama2-prepend");
  const EncodedText spaced = llama2.encode_with_ends("ab \u00e9", true);
  CHECK(spaced.ends.front() == 0);
  CHECK(spaced.ends.back() == 5);
}

TEST_CASE("JsonTokenizer: a stream shows a character with its last byte", "[unit]") {
  for (const char* name : {"gpt2", "llama2-prepend"}) {
    const Tokenizer tokenizer(kJsonTokenizers / name);
    const std::string text = "so \U0001f98a\U0001f98a, \u00e4\u00f6";
    const Ids ids = tokenizer.encode("x" + text, false);
    const Ids before = tokenizer.encode("x", false);
    TextStream stream(tokenizer, before);
    std::string shown;
    for (std::size_t i = before.size(); i < ids.size(); ++i) {
      const std::string fresh = stream.add(ids[i]);
      CHECK(fresh.find("\xEF\xBF\xBD") == std::string::npos);
      shown += fresh;
    }
    CAPTURE(name);
    CHECK(shown == text);
  }
}

TEST_CASE("TranslationPrompts: ChatML by a byte-level tokenizer is that text, and a sentence has its ids anywhere",
          "[unit]") {
  const Tokenizer tokenizer(kJsonTokenizers / "qwen2");
  const TranslationPrompts prompts(tokenizer, chat_template("chatml"), kTranslateIntoEnglish, false);
  const std::vector<SentencePair> history{{"\u4f60\u597d", "Hello there."}};
  const TranslationPrompt prompt = prompts.prompt(history, "\u4e16\u754c", 1000);
  CHECK(tokenizer.decode(prompt.ids, false) ==
        "<|im_start|>user\n" + std::string(kTranslateIntoEnglish) +
            "\n\u4f60\u597d\n\u4e16\u754c<|im_end|>\n<|im_start|>assistant\nHello there.\n");
  CHECK(prompt.ids.front() == tokenizer.special_token_id("<|im_start|>"));
  CHECK(prompts.reference("Hello there.") == prompts.line_ids("Hello there."));
  CHECK(has(tokenizer.decode(prompts.training_segment(history, 1, 1000).ids, false),
            "assistant\nHello there.<|im_end|>"));
}

TEST_CASE("JsonTokenizer: millions of equal letters, spaces and line ends are not too much", "[unit]") {
  const Tokenizer qwen2(kJsonTokenizers / "qwen2");
  for (const char* letter : {"e", " ", "\n", "7"}) {
    std::string text;
    for (int i = 0; i < 2'000'000; ++i) text += letter;
    const EncodedText encoded = qwen2.encode_with_ends(text, false);
    CHECK(encoded.ends.back() == text.size());
  }
  const Tokenizer llama2(kJsonTokenizers / "llama2-prepend");
  CHECK(llama2.encode_with_ends(std::string(1'000'000, 'e'), false).ends.back() == 1'000'000);
}

TEST_CASE("JsonTokenizer: an unknown character needs an unknown token only where a text has one", "[unit]") {
  const ScratchFolder scratch;
  const auto without = [](Json& j) { j["model"]["unk_token"] = "<none>"; };
  const Tokenizer tokenizer = changed(scratch, "unknown-pieces", without);
  CHECK(tokenizer.encode("the", false) == Tokenizer(kJsonTokenizers / "unknown-pieces").encode("the", false));
  CHECK(has(short_refusal([&] { tokenizer.encode("\U0001f98a", false); }), "model.unk_token: got \"<none>\""));
}

TEST_CASE("Tokenizer: which file of a folder is read", "[unit]") {
  const std::string model =
      read_file(fs::path(TEMPLORA_SOURCE_DIR) / "tests/text/goldens/tokenizers/bare/tokenizer.model");
  const std::string json = golden_file("gpt2").dump();
  const ScratchFolder scratch;
  scratch.write("tokenizer.model", model);
  scratch.write("tokenizer.json", json);
  const auto source = [&](const std::string& config) {
    scratch.write("tokenizer_config.json", config);
    return Tokenizer(scratch.path()).source();
  };
  CHECK(has(source("{}"), "tokenizer.model (no tokenizer_class)"));
  for (const std::string name : {"LlamaTokenizer", "LlamaTokenizerFast", "LLaMATokenizer", "llama"})
    CHECK(has(source(R"({"tokenizer_class": ")" + name + "\"}"), "tokenizer.model (tokenizer_class " + name + ")"));
  for (const std::string name : {"PreTrainedTokenizerFast", "TokenizersBackend", "GPT2Tokenizer", "CodeLlamaTokenizer"})
    CHECK(has(source(R"({"tokenizer_class": ")" + name + "\"}"), "tokenizer.json (tokenizer_class " + name + ")"));
  scratch.write("config.json", R"({"tokenizer_class": "Qwen2Tokenizer", "x": NaN})");
  CHECK(has(source("{}"), "tokenizer.json (tokenizer_class Qwen2Tokenizer)"));
  CHECK(has(Tokenizer(scratch.path() / "tokenizer.model").source(), "that file alone"));
  CHECK(Tokenizer(scratch.path() / "tokenizer.json").size() == 700);
  fs::remove(scratch.path() / "tokenizer.json");
  CHECK(has(short_refusal([&] { Tokenizer t(scratch.path()); }), "set model.tokenizer to "));
  scratch.write("tokenizer.json", json);
  fs::remove(scratch.path() / "tokenizer.model");
  CHECK(has(source(R"({"tokenizer_class": "LlamaTokenizer"})"),
            "tokenizer.json (no tokenizer.model; tokenizer_class LlamaTokenizer)"));
  fs::remove(scratch.path() / "tokenizer.json");
  CHECK(has(short_refusal([&] { Tokenizer t(scratch.path()); }), "neither tokenizer.model nor tokenizer.json"));
}
