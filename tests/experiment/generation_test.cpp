#include "experiment/generation.h"

#include <ATen/Parallel.h>
#include <unistd.h>

#include <functional>
#include <limits>

#include "catch.h"
#include "made_config.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

const std::vector<std::int64_t> kPrompt{5, 17, 3, 42, 8, 29, 11};

Config writing(const std::vector<Override>& more = {}) {
  return made_config({{"experiment", "generation"},
                      {"generate.prompt", "x"},
                      {"generate.tokens", "60"},
                      {"window.chunk_tokens", "16"},
                      {"train.prefix_tokens", "16"},
                      {"lora.rank", "4"},
                      {"lora.alpha", "16"},
                      {"lora.dropout", "0.1"},
                      {"train.learning_rate", "0.02"}},
                     more, R"({"model": {"path": "m"}})");
}

std::vector<WrittenChunk> write_all(LlamaImpl& model, const Config& config) {
  Generation generation(model, config, kPrompt, -1);
  if (config.generate.learn_prompt) generation.learn_prompt();
  std::vector<WrittenChunk> chunks;
  while (!generation.finished()) chunks.push_back(generation.step());
  return chunks;
}

std::vector<std::int64_t> text_of(const std::vector<WrittenChunk>& chunks) {
  std::vector<std::int64_t> text;
  for (const WrittenChunk& chunk : chunks) text.insert(text.end(), chunk.tokens.begin(), chunk.tokens.end());
  return text;
}

}  // namespace

TEST_CASE("Generation: with learning off it is plain generation, token for token", "[unit]") {
  Llama model = loop_model();
  // Nothing is cut off: one window holds the whole text, so that chunks make no difference.
  const Config config = writing({{"train.enabled", "false"}, {"window.context_tokens", "100"}});
  KvCache cache(*model, {1, 128, false, 512});
  SamplingStreams streams(42, 1);
  DecodeOptions options;
  options.max_new_tokens = options.min_new_tokens = 60;
  const auto plain = decode(*model, cache, {kPrompt}, options, streams).front().tokens;
  CHECK(text_of(write_all(*model, config)) == plain);
  CHECK(text_of(write_all(*model, writing({{"score.adapter", "false"}, {"window.context_tokens", "100"}}))) == plain);
  CHECK(text_of(write_all(*model, writing({{"train.enabled", "false"},
                                           {"train.prefix_tokens", "100"},
                                           {"lora.rows", "chunk"}}))) == plain);
}

TEST_CASE("Generation: with lora.rows chunk what was written is scored and learnt behind the base's keys", "[unit]") {
  Llama model = loop_model();
  for (const char* policy : {"rebuild", "refill"}) {
    INFO(policy);
    const Config config = writing({{"lora.rows", "chunk"},
                                   {"lora.dropout", "0"},
                                   {"generate.temperature", "1"},
                                   {"cache.policy", policy},
                                   {"cache.refill_tokens", "8"},
                                   {"cache.window_tokens", "90"}});
    const std::vector<WrittenChunk> written = write_all(*model, config);
    REQUIRE(written.size() == 4);
    CHECK(written[0].record.context_tokens == 7);
    CHECK(std::abs(*written[0].record.lora_nll - *written[0].record.base_nll) <= 1e-5);
    // The first step's loss is the score: the same rows behind the same keys, by the same weights.
    for (const WrittenChunk& chunk : written)
      CHECK(std::abs(chunk.record.train_loss.at(0) - *chunk.record.lora_nll) <= 1e-5);
    CHECK(*written[3].record.lora_nll < *written[3].record.base_nll);
    // Read as a book, chunk by chunk, the same text has the same scores.
    std::vector<std::int64_t> text = kPrompt;
    const std::vector<std::int64_t> rest = text_of(written);
    text.insert(text.end(), rest.begin(), rest.end());
    ContextCache base(*model, config);
    for (const WrittenChunk& chunk : written) {
      base.open(text, chunk.record.first_token, chunk.record.tokens, 0);
      const at::Tensor nll = base.score(text, {chunk.record.first_token, chunk.record.tokens}, 0);
      CHECK(std::abs(nll.mean().item<double>() - *chunk.record.base_nll) <= 1e-5);
    }
  }
}

TEST_CASE("Generation: learning changes what is written, from the second chunk on, and the model stays as it was",
          "[unit]") {
  Llama model = loop_model();
  const std::string hash = weights_hash(*model);
  const auto plain = write_all(*model, writing({{"train.enabled", "false"}, {"generate.temperature", "1"}}));
  const auto learnt = write_all(*model, writing({{"generate.temperature", "1"}}));
  REQUIRE(learnt.size() == 4);
  CHECK(learnt[0].tokens == plain[0].tokens);
  CHECK(text_of(learnt) != text_of(plain));
  CHECK(learnt.back().record.tokens == 60 - 3 * 16);
  CHECK(*learnt[3].record.lora_nll < *learnt[3].record.base_nll);
  CHECK(weights_hash(*model) == hash);
}

TEST_CASE("Generation: parallelized is a serial run with a lag of one chunk, bit for bit", "[unit]") {
  Llama model = loop_model();
  at::set_num_threads(2);
  for (const char* temperature : {"0", "1"}) {
    const auto serial =
        write_all(*model, writing({{"train.lag_chunks", "1"}, {"generate.temperature", temperature}}));
    const auto parallel =
        write_all(*model, writing({{"generate.schedule", "parallelized"}, {"generate.temperature", temperature}}));
    REQUIRE(serial.size() == parallel.size());
    for (std::size_t i = 0; i < serial.size(); ++i) {
      CHECK(serial[i].tokens == parallel[i].tokens);
      CHECK(serial[i].record.lora_nll == parallel[i].record.lora_nll);
      CHECK(serial[i].record.train_loss == parallel[i].record.train_loss);
      CHECK(serial[i].record.adapter_version == parallel[i].record.adapter_version);
      CHECK(parallel[i].record.adapter_version == std::max<std::int64_t>(0, std::int64_t(i) - 1));
    }
    if (*temperature == '1')  // a random model's greedy text repeats one token whatever it learns
      CHECK(text_of(serial) != text_of(write_all(*model, writing({{"generate.temperature", temperature}}))));
  }
}

TEST_CASE("Generation: it goes on bit for bit from a saved state, with every schedule and cache", "[unit]") {
  Llama model = loop_model();
  const std::vector<std::vector<Override>> ways{
      {},
      {{"generate.schedule", "parallelized"}},
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "8"}, {"cache.window_tokens", "64"}},
      {{"cache.policy", "last_n"}, {"cache.window_tokens", "40"}, {"cache.sink_tokens", "2"}},
      {{"lora.rows", "chunk"}},
      {{"lora.rows", "chunk"}, {"cache.policy", "last_n"}, {"cache.window_tokens", "40"}}};
  const fs::path file =
      fs::temp_directory_path() / ("templora-generation-" + std::to_string(::getpid()) + ".safetensors");
  for (const auto& way : ways) {
    std::vector<Override> overrides{{"generate.temperature", "0.8"}, {"generate.top_k", "20"}};
    overrides.insert(overrides.end(), way.begin(), way.end());
    const Config config = writing(overrides);
    const auto whole = write_all(*model, config);
    Json state;
    {
      Generation first(*model, config, kPrompt, -1);
      first.step();
      first.step();
      state = first.state();
      first.save_tensors_to(file);
    }
    Generation second(*model, config, kPrompt, -1);
    second.restore(state, file);
    for (std::size_t i = 2; i < whole.size(); ++i) {
      const WrittenChunk chunk = second.step();
      INFO("way " << (way.empty() ? "plain" : way[0].value) << " chunk " << i);
      CHECK(chunk.tokens == whole[i].tokens);
      CHECK(chunk.record.lora_nll == whole[i].record.lora_nll);
      CHECK(chunk.record.repeated_4grams == whole[i].record.repeated_4grams);
    }
  }
  fs::remove(file);
}

TEST_CASE("Generation: a branch that learns at once first learns what the run before it had put off", "[unit]") {
  Llama model = loop_model();
  const fs::path file = fs::temp_directory_path() / ("templora-branch-" + std::to_string(::getpid()) + ".safetensors");
  Json state;
  {
    Generation late(*model, writing({{"generate.schedule", "parallelized"}}), kPrompt, -1);
    for (int i = 0; i < 2; ++i) late.step();
    state = late.state();
    late.save_tensors_to(file);
  }
  Generation branch(*model, writing({}), kPrompt, -1);
  branch.restore(state, file);
  const WrittenChunk third = branch.step();
  CHECK(third.record.adapter_version == 2);
  CHECK(third.record.trained_chunk == 2);
  fs::remove(file);
}

TEST_CASE("Generation: a damaged state is refused, whatever its numbers are", "[unit]") {
  Llama model = loop_model();
  const fs::path file = fs::temp_directory_path() / ("templora-damaged-" + std::to_string(::getpid()) + ".safetensors");
  const Config config =
      writing({{"cache.policy", "refill"}, {"cache.refill_tokens", "8"}, {"cache.window_tokens", "64"}});
  Json state;
  {
    Generation first(*model, config, kPrompt, -1);
    first.step();
    state = first.state();
    first.save_tensors_to(file);
  }
  const auto refused = [&](const std::function<void(Json&)>& damage) {
    Json damaged = state;
    damage(damaged);
    Generation second(*model, config, kPrompt, -1);
    CHECK_THROWS_AS(second.restore(damaged, file), Error);
  };
  refused([](Json& s) { s["chunks"][0] = {std::numeric_limits<std::int64_t>::max(), 1}; });
  refused([](Json& s) { s["chunks"][0] = {0, std::numeric_limits<std::int64_t>::max()}; });
  refused([](Json& s) { s["cache"]["positions"].erase(0); });
  refused([](Json& s) { s["learnt"] = 7; });
  fs::remove(file);
}

TEST_CASE("Generation: a learnt prompt is learnt once, and what is written differs", "[unit]") {
  Llama model = loop_model();
  const auto chunks = write_all(*model, writing({{"generate.learn_prompt", "true"}}));
  CHECK(chunks[0].record.adapter_version == 1);
  CHECK(chunks[0].record.chunk == 1);
  const auto lagging =
      write_all(*model, writing({{"generate.learn_prompt", "true"}, {"generate.schedule", "parallelized"}}));
  CHECK(lagging[0].tokens == chunks[0].tokens);
  CHECK_FALSE(lagging[0].record.trained_chunk);  // the prompt's chunk was learnt before
}

TEST_CASE("Generation: a prompt whose learning was cut off between two chunks goes on bit for bit", "[unit]") {
  struct CutOff {};
  Llama model = loop_model();
  const fs::path file = fs::temp_directory_path() / ("templora-prompt-" + std::to_string(::getpid()) + ".safetensors");
  for (const char* schedule : {"cascaded", "parallelized"}) {
    INFO(schedule);
    const Config config = writing({{"generate.learn_prompt", "true"},
                                   {"window.chunk_tokens", "3"},
                                   {"generate.tokens", "9"},
                                   {"generate.temperature", "1"},
                                   {"generate.schedule", schedule}});
    const auto whole = write_all(*model, config);
    Json state;
    std::int64_t behind = 0;
    {
      Generation first(*model, config, kPrompt, -1);
      const auto cut_off = [&](std::int64_t tokens) {
        behind = tokens;
        state = first.state();
        first.save_tensors_to(file);
        throw CutOff();
      };
      CHECK_THROWS_AS(first.learn_prompt(cut_off), CutOff);
    }
    CHECK(behind == 3);
    Generation second(*model, config, kPrompt, -1);
    second.restore(state, file);
    std::vector<std::int64_t> learnt;
    second.learn_prompt([&](std::int64_t tokens) { learnt.push_back(tokens); });
    CHECK(learnt == std::vector<std::int64_t>{6, 7});
    for (const WrittenChunk& wanted : whole) {
      const WrittenChunk chunk = second.step();
      CHECK(chunk.tokens == wanted.tokens);
      CHECK(chunk.record.lora_nll == wanted.record.lora_nll);
      CHECK(chunk.record.adapter_version == wanted.record.adapter_version);
      second.learn_prompt([](std::int64_t) { FAIL("learnt the prompt again"); });
    }
    CHECK(second.finished());
  }
  fs::remove(file);
}

TEST_CASE("Generation: a prompt that cannot be learnt ends the run", "[unit]") {
  Llama model = loop_model();
  const Config config = writing({{"generate.learn_prompt", "true"}, {"train.learning_rate", "1e30"}});
  Generation generation(*model, config, kPrompt, -1);
  CHECK_THROWS_WITH(generation.learn_prompt(), Catch::Matchers::Contains("train.learning_rate"));
}

TEST_CASE("Generation: a stop test ends the text where it says so", "[unit]") {
  Llama model = loop_model();
  const Config config = writing();
  Generation generation(*model, config, kPrompt, -1);
  generation.stop = [](const std::vector<std::int64_t>& written) { return written.size() == 20; };
  std::size_t told = 0;
  generation.on_token = [&](std::int64_t) { ++told; };
  while (!generation.finished()) generation.step();
  CHECK(generation.text().size() == kPrompt.size() + 20);
  CHECK(told == 20);
  generation.go_on();
  generation.stop = nullptr;
  while (!generation.finished()) generation.step();
  CHECK(generation.text().size() == kPrompt.size() + 60);
}
