#include "experiment/context_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <unistd.h>

#include "catch.h"
#include "experiment/temp_lora.h"
#include "made_config.h"
#include "plan/chunks.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

constexpr std::int64_t kChunk = 12;

Config cache_config(const std::vector<Override>& more) {
  return made_config({{"lora.rank", "4"},
                      {"lora.dropout", "0"},
                      {"window.chunk_tokens", "12"},
                      {"train.prefix_tokens", "12"},
                      {"train.learning_rate", "0.01"},
                      {"cache.prefill_block_tokens", "5"}},
                     more);
}

struct Scored {
  std::vector<std::int64_t> context;
  std::vector<at::Tensor> nll;
};

/// Goes through a text chunk by chunk with a model that never changes.
Scored score_all(LlamaImpl& model, const Config& config, const std::vector<std::int64_t>& text) {
  ContextCache cache(model, config);
  Scored scored;
  for (const Chunk& chunk : cut_chunks(std::int64_t(text.size()), kChunk, kChunk)) {
    scored.context.push_back(cache.open(text, chunk.first, chunk.count, 0));
    scored.nll.push_back(cache.score(text, chunk, 0));
  }
  return scored;
}

/// The same chunk behind the same number of tokens, without a cache.
at::Tensor uncached(LlamaImpl& model, const std::vector<std::int64_t>& text, const Chunk& chunk, std::int64_t context) {
  const at::NoGradGuard no_grad;
  const Window seen = window_of(chunk, context);
  const at::Tensor tokens = at::tensor(at::ArrayRef<std::int64_t>(text.data() + seen.first, std::size_t(seen.length)));
  return token_nll(model, tokens.unsqueeze(0), seen.labelled).squeeze(0);
}

}  // namespace

TEST_CASE("ContextCache: without updates every policy with a plain window scores as if nothing were kept", "[unit]") {
  Llama model = loop_model();
  const auto text = made_text(100, 60);
  const auto chunks = cut_chunks(100, kChunk, kChunk);
  const std::vector<std::vector<Override>> policies{
      {{"cache.policy", "rebuild"}, {"window.context_tokens", "20"}},
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "10"}, {"cache.window_tokens", "50"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "3"}, {"window.context_tokens", "14"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "2"}, {"window.context_tokens", "0"}}};
  for (const auto& policy : policies) {
    const Scored scored = score_all(*model, cache_config(policy), text);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      INFO(policy[0].value << " chunk " << i << " context " << scored.context[i]);
      CHECK(at::allclose(scored.nll[i], uncached(*model, text, chunks[i], scored.context[i]), 1e-5, 1e-5));
    }
  }
}

TEST_CASE("ContextCache: refill grows from R by whole chunks until the next one would pass W", "[unit]") {
  Llama model = loop_model();
  const Scored scored = score_all(
      *model, cache_config({{"cache.policy", "refill"}, {"cache.refill_tokens", "10"}, {"cache.window_tokens", "50"}}),
      made_text(132, 60));
  // From the start 0, 12, 24, 36 (and 48 with the chunk); then 10, 22, 34 (46), and again.
  CHECK(scored.context == std::vector<std::int64_t>{0, 12, 24, 36, 10, 22, 34, 10, 22, 34, 10});
}

TEST_CASE("ContextCache: every_k rebuilds after k chunks, and last_n keeps its window full", "[unit]") {
  Llama model = loop_model();
  const Scored every = score_all(
      *model,
      cache_config({{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "2"}, {"window.context_tokens", "14"}}),
      made_text(96, 60));
  CHECK(every.context == std::vector<std::int64_t>{0, 12, 14, 26, 14, 26, 14, 26});
  const Scored none = score_all(
      *model,
      cache_config({{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "3"}, {"window.context_tokens", "0"}}),
      made_text(84, 60));
  CHECK(none.context == std::vector<std::int64_t>{0, 12, 24, 0, 12, 24, 0});
  const Scored last = score_all(
      *model, cache_config({{"cache.policy", "last_n"}, {"cache.window_tokens", "40"}, {"cache.sink_tokens", "3"}}),
      made_text(84, 60));
  CHECK(last.context == std::vector<std::int64_t>{0, 12, 24, 28, 28, 28, 28});
}

TEST_CASE("ContextCache: nothing is stale while nothing was learnt, under every policy's own mask", "[unit]") {
  Llama model = loop_model();
  const auto text = made_text(100, 60);
  const std::vector<std::vector<Override>> policies{
      {{"cache.policy", "refill"}, {"cache.refill_tokens", "10"}, {"cache.window_tokens", "50"}},
      {{"cache.policy", "every_k"}, {"cache.rebuild_every_chunks", "3"}, {"window.context_tokens", "14"}},
      {{"cache.policy", "last_n"}, {"cache.window_tokens", "30"}, {"cache.sink_tokens", "2"}}};
  for (const auto& policy : policies) {
    const Config config = cache_config(policy);
    ContextCache cache(*model, config);
    const std::vector<Chunk> chunks = cut_chunks(100, kChunk, kChunk);
    for (const Chunk& chunk : chunks) {
      cache.open(text, chunk.first, chunk.count, chunk.first / kChunk);  // versions differ, weights do not
      cache.score(text, chunk, chunk.first / kChunk);
      const auto staleness =
          cache.measure_staleness(text, chunks, std::size_t(chunk.first / kChunk), chunk.first / kChunk);
      REQUIRE(staleness.has_value() == (chunk.first > 0));
      if (!staleness) continue;
      INFO(policy[0].value << " chunk at " << chunk.first);
      CHECK(std::abs(staleness->nll_difference) < 1e-5);
      CHECK(std::abs(staleness->kl) < 1e-5);
      CHECK(staleness->oldest_versions >= 0);
    }
  }
}

TEST_CASE("TempLora: with kept keys the module sees what the base sees, and staleness is measured", "[unit]") {
  Llama model = loop_model();
  const Config config = cache_config({{"cache.policy", "refill"},
                                      {"cache.refill_tokens", "10"},
                                      {"cache.window_tokens", "60"},
                                      {"cache.measure_staleness", "true"},
                                      {"cache.staleness_every_chunks", "3"}});
  Book book;
  book.name = "book";
  book.tokens = made_text(150, 60);
  TempLora document(*model, config, book, 0);
  bool stale = false;
  while (document.next_chunk() < document.chunk_count()) {
    const ChunkResult result = document.step();
    const ChunkRecord& record = result.record;
    REQUIRE(std::int64_t(result.base_nll.size()) == record.scored_tokens);
    CHECK(result.lora_nll.size() == result.base_nll.size());
    const at::Tensor expected =
        uncached(*model, book.tokens, {record.first_token, record.tokens}, record.context_tokens);
    for (std::size_t i = 0; i < result.base_nll.size(); ++i)
      CHECK(result.base_nll[i] == Approx(expected[std::int64_t(i)].item<float>()).margin(1e-4));
    CHECK(record.staleness.has_value() == (record.chunk > 0 && record.chunk % 3 == 0));
    if (record.staleness && record.staleness->oldest_versions > 1) stale |= record.staleness->kl > 1e-6;
  }
  CHECK(stale);
}

TEST_CASE("TempLora: a run with kept keys goes on bit for bit from a saved state", "[unit]") {
  Llama model = loop_model();
  Book book;
  book.name = "book";
  book.tokens = made_text(150, 60);
  for (const char* policy : {"refill", "every_k", "last_n"}) {
    const Config config = cache_config({{"cache.policy", policy}, {"cache.refill_tokens", "10"},
                                        {"cache.window_tokens", std::string(policy) == "every_k" ? "null" : "60"},
                                        {"cache.sink_tokens", std::string(policy) == "last_n" ? "2" : "0"},
                                        {"window.context_tokens", "14"}, {"train.prefix_tokens", "12"},
                                        // Means of the chunks stand in the state beside the caches.
                                        {"train.hard_quantile", std::string(policy) == "every_k" ? "0" : "0.5"}});
    const fs::path file = fs::temp_directory_path() / ("templora-cache-" + std::to_string(::getpid()) + ".safetensors");
    TempLora whole(*model, config, book, 0), second(*model, config, book, 0);
    for (int i = 0; i < 5; ++i) whole.step();
    const Json state = whole.state();
    whole.save_tensors_to(file);
    second.restore(state, file);
    while (whole.next_chunk() < whole.chunk_count()) {
      const ChunkResult a = whole.step(), b = second.step();
      INFO(policy << " chunk " << a.record.chunk);
      CHECK(a.lora_nll == b.lora_nll);
      CHECK(a.base_nll == b.base_nll);
      CHECK(a.record.context_tokens == b.record.context_tokens);
    }
    fs::remove(file);
  }
}
