#include "../core/fixtures.h"
#include "catch.h"
#include "config/config.h"
#include "made_config.h"

using namespace templora;
using namespace templora_test;

namespace {

const char* const kPretraining = R"({"experiment": "pretrain", "model": {"tokenizer": "t"},
  "data": {"books": ["b/*.txt"], "exclude": ["x_*.txt"], "validation": ["b/x_1.txt"]}})";

LoadedConfig load(const std::string& text, const std::vector<Override>& overrides = {}) {
  return parse_config(text, "test.json", "/base", overrides);
}

}  // namespace

TEST_CASE("pretrain config: needs no model folder, and its paths are made absolute", "[unit]") {
  const LoadedConfig loaded = load(kPretraining, {{"pretrain.token_cache", "../tokens"}});
  CHECK(loaded.config.experiment == ExperimentKind::pretrain);
  CHECK(loaded.config.model.path.empty());
  CHECK(loaded.config.data.validation == std::vector<std::string>{"/base/b/x_1.txt"});
  CHECK(loaded.config.data.exclude == std::vector<std::string>{"x_*.txt"});  // file names, not paths
  CHECK(loaded.config.pretrain.token_cache == "/tokens");
  CHECK(*loaded.config.pretrain.kv_heads == loaded.config.pretrain.heads);
}

TEST_CASE("perplexity config: still needs a model folder", "[unit]") {
  CHECK(thrown_by([] { load(R"({"data": {"books": ["b"]}})"); }).says("model.path"));
  CHECK_NOTHROW(load(kMinimal));
}

TEST_CASE("pretrain config: rules between keys are checked by name", "[unit]") {
  const auto says = [](const char* key, const char* value, const char* named) {
    const auto thrown = thrown_by([&] { load(kPretraining, {{key, value}}); });
    INFO(thrown.message);
    CHECK(thrown.code == Exit::usage);
    CHECK(thrown.says(named));
  };
  says("data.validation", "[]", "data.validation");
  says("data.books", "[]", "data.books");
  says("data.max_tokens", "1000", "data.max_tokens: got 1000, wanted 0");
  says("model.tokenizer", "null", "model.tokenizer");
  says("pretrain.hidden", "250", "pretrain.hidden");
  says("pretrain.kv_heads", "3", "pretrain.kv_heads");
  says("pretrain.micro_sequences", "5", "pretrain.micro_sequences");
  says("pretrain.learning_rat", "1", "pretrain.learning_rate");
}

TEST_CASE("config hash: covers what changes an experiment's numbers and nothing else", "[unit]") {
  const std::string pretrain = load(kPretraining).hash, perplexity = load(kMinimal).hash;
  CHECK(load(kPretraining, {{"pretrain.learning_rate", "0.5"}}).hash != pretrain);
  CHECK(load(kPretraining, {{"data.exclude", "[]"}}).hash != pretrain);
  for (const auto& [key, value] : {std::pair{"pretrain.save_every_steps", "3"}, {"pretrain.token_cache", "elsewhere"},
                                   {"pretrain.tokens", "12345"}, {"pretrain.passes", "3"}, {"lora.rank", "3"},
                                   {"window.chunk_tokens", "7"}})
    CHECK(load(kPretraining, {{key, value}}).hash == pretrain);
  CHECK(load(kMinimal, {{"pretrain.hidden", "512"}}).hash == perplexity);
  CHECK(load(kMinimal, {{"lora.rank", "3"}}).hash != perplexity);
}
