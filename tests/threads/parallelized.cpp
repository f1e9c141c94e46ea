// Built by itself under ThreadSanitizer (scripts/test threads): the one schedule with two threads, which write and
// learn at once. What they hand each other is checked, not the numbers, which tests/experiment compares with a serial
// run.

#include <ATen/Parallel.h>

#include <stdexcept>

#include "../model/goldens.h"
#include "catch.h"
#include "experiment/generation.h"
#include "model/load.h"

using namespace templora;

namespace {

const std::vector<std::int64_t> kPrompt{5, 17, 3, 42, 8, 29, 11, 2, 19, 23, 7, 7, 31, 40, 12, 9, 18};

std::vector<Override> with(std::vector<Override> overrides) {
  std::vector<Override> all{{"experiment", "generation"},  {"generate.prompt", "x"},
                            {"generate.tokens", "40"},     {"window.chunk_tokens", "10"},
                            {"train.prefix_tokens", "10"}, {"lora.rank", "4"},
                            {"lora.dropout", "0.1"},       {"train.learning_rate", "0.02"},
                            {"generate.temperature", "1"}, {"generate.schedule", "parallelized"}};
  all.insert(all.end(), overrides.begin(), overrides.end());
  return all;
}

Config config_of(const std::vector<Override>& overrides) {
  return parse_config(R"({"model": {"path": "m"}})", "test", "/tmp", with(overrides)).config;
}

}  // namespace

TEST_CASE("threads: a chunk is learnt while the next is written, with every cache and optimizer", "[slow]") {
  at::set_num_threads(1);  // OpenMP's own threads hand over in ways that the sanitizer does not see
  Llama model = load_llama(goldens::folder("loop/model"), at::kFloat, at::kCPU);
  const std::vector<std::vector<Override>> ways{{{"generate.learn_prompt", "true"}},
                                                {{"train.optimizer", "rms"},
                                                 {"train.moments", "reset"},
                                                 {"cache.policy", "refill"},
                                                 {"cache.refill_tokens", "8"},
                                                 {"cache.window_tokens", "64"}},
                                                {{"train.warmup_chunks", "2"},
                                                 {"cache.policy", "last_n"},
                                                 {"cache.window_tokens", "40"},
                                                 {"cache.sink_tokens", "2"}}};
  for (const auto& way : ways) {
    const Config config = config_of(way);
    Generation generation(*model, config, kPrompt, -1);
    std::int64_t seen = 0;
    generation.on_token = [&](std::int64_t) { ++seen; };
    if (config.generate.learn_prompt) generation.learn_prompt();
    while (!generation.finished()) {
      generation.step();
      (void)generation.state();  // a state is saved between two chunks
    }
    CHECK(seen == 40);
  }
}

TEST_CASE("threads: a failure of the thread that writes leaves nothing running", "[slow]") {
  at::set_num_threads(1);
  Llama model = load_llama(goldens::folder("loop/model"), at::kFloat, at::kCPU);
  const Config config = config_of({});
  Generation generation(*model, config, kPrompt, -1);
  generation.step();
  generation.on_token = [](std::int64_t) { throw std::runtime_error("the reader went away"); };
  CHECK_THROWS_WITH(generation.step(), Catch::Contains("went away"));
}
