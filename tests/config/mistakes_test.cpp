#include "config/mistakes.h"

#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "config/config.h"
#include "core/error.h"
#include "made_config.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Lines of the usage error that a config gives; none where it is accepted.
std::vector<std::string> mistakes_in(const std::string& text, const std::vector<Override>& overrides = {}) {
  std::vector<std::string> lines;
  try {
    parse_config(text, "test.json", "/base", overrides);
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::usage);
    std::istringstream all(error.what());
    for (std::string line; std::getline(all, line);) lines.push_back(line);
  }
  return lines;
}

}  // namespace

TEST_CASE("Config: a hint knows what people type, and looks at the same section first", "[unit]") {
  const auto hint = [](const std::string& key, const std::string& wanted) {
    const auto lines = mistakes_in(kMinimal, {{key, "1"}});
    REQUIRE(lines.size() == 1);
    check_has(lines[0], "the nearest known key is " + wanted);
  };
  for (const auto& [typed, meant] : std::vector<std::pair<std::string, std::string>>{
           {"lr", "train.learning_rate"},
           {"train.lr", "train.learning_rate"},
           {"pretrain.lr", "pretrain.learning_rate"},
           {"delta", "window.chunk_tokens"},
           {"window.delta", "window.chunk_tokens"},
           {"chunk_size", "window.chunk_tokens"},
           {"train.seed", "seed"},
           {"run.seed", "seed"},
           {"batch_size", "window.chunk_tokens (an update learns one chunk)"},
           {"train.batch_size", "window.chunk_tokens"},
           {"pretrain.batch_size", "pretrain.batch_sequences"},
           {"translation.batch-size", "translation.batch_sentences"},
           {"gpus", "model.device"},
           {"run.gpus", "model.device"},
           {"rank", "lora.rank"},
           {"r", "lora.rank"},
           {"lora.r", "lora.rank"},
           {"epochs", "train.epochs"},
           {"train.warmup", "train.warmup_steps"},
           {"pretrain.warmup", "pretrain.warmup_steps"},
           {"pretrain.clip_nrom", "pretrain.clip_norm"},
           {"generate.epoch", "train.epochs"},
           {"temperature", "generate.temperature"},
           {"Learning_Rate", "train.learning_rate"}})
    hint(typed, meant);
  hint(std::string(100000, 'x'), "");
}

TEST_CASE("Config: all mistakes are told at once, one line each", "[unit]") {
  const std::vector<std::string> lines = mistakes_in(R"({"model": {"path": "m", "device": "gpu"},
    "data": {"books": ["b", 3, ""]}, "lora": {"rnak": 3, "rank": 0, "targets": ["lm_head"]},
    "train": {"optimizer": "sgd", "weight_decay": 0.1, "epochs": "2"}, "score": {"base": false, "adapter": false},
    "window": 3, "lr": 1})");
  const std::vector<std::string> wanted = {"lr: unknown key",
                                           "data.books[1]: got 3",
                                           "data.books[2]: got an empty string",
                                           "window: got 3, wanted an object",
                                           "lora.rnak: unknown key",
                                           "lora.rank: got 0",
                                           R"(train.epochs: got "2")",
                                           R"(model.device: got "gpu")",
                                           "score.adapter: got false",
                                           R"(lora.targets: got "lm_head")",
                                           "train.weight_decay: got 0.1"};
  REQUIRE(lines.size() == wanted.size());
  for (std::size_t i = 0; i < lines.size(); ++i) check_has(lines[i], "test.json: " + wanted[i]);

  // What only follows from another mistake is not told: a rule about a value that was refused, a key that was meant.
  CHECK(mistakes_in(R"({"experiment": "pretraining", "model": {"tokenizer": "t"}})").size() == 1);
  CHECK(mistakes_in(R"({"model": {"path": 3}, "data": {"book": ["b"]}})").size() == 2);
  CHECK(mistakes_in(R"({"model": {"path": "m"}, "data": {"books": ["b"]}, "cache": {"policy": "refill",
    "refill_tokens": 5000}, "window": {"chunk_tokens": -1}})").size() == 1);
  CHECK(mistakes_in(R"({"model": 3, "data": []})").size() == 2);

  std::string many = R"({"model": {"path": "m"}, "data": {"books": ["b"]})";
  for (int i = 0; i < 100; ++i) many += ", \"k" + std::to_string(i) + "\": 1";
  const std::vector<std::string> first = mistakes_in(many + "}");
  REQUIRE(first.size() == 41);
  CHECK(first.back() == "and 60 more mistakes");
}
