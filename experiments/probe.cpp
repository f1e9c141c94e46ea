#include "probe.h"

#include <ATen/ops/randint.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "config/lengths.h"
#include "core/error.h"
#include "core/stop.h"
#include "experiment/generation.h"
#include "experiment/phase_timer.h"
#include "experiment/temp_lora.h"
#include "metrics/perplexity.h"
#include "perplexity.h"
#include "pretrain.h"
#include "run/run_data.h"
#include "train/pretrainer.h"

namespace templora {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kEnoughSeconds = 4, kMostSeconds = 60;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void stop_if_asked() {
  if (stop_requested()) throw Error(Exit::interrupted, "stopped; a dry run has nothing to save");
}

}  // namespace

Probe probe_perplexity(LlamaImpl& model, const Config& config, const ModelShape& shape, const std::vector<Book>& books,
                       const std::vector<Book>& control_books) {
  const std::size_t longest =
      std::size_t(std::max_element(books.begin(), books.end(),
                                   [](const Book& a, const Book& b) { return a.tokens.size() < b.tokens.size(); }) -
                  books.begin());
  constexpr std::int64_t kMostChunks = 200;
  const std::int64_t full = std::max(context_tokens(config), config.train.prefix_tokens);
  const std::int64_t most = full + first_chunk_tokens(config) + kMostChunks * config.window.chunk_tokens;
  std::vector<Book> some = config.control.empty() ? std::vector{books[longest]} : books;
  const std::size_t place = config.control.empty() ? 0 : longest;
  Book& book = some[place];
  book.tokens.resize(std::min(book.tokens.size(), std::size_t(most)));
  const ControlSegments segments = run_segments(config, some, control_books, std::int64_t(place));

  TempLora(model, config, book, 0, segments).step();  // the first one pays for what is made once
  Probe probe;
  RunData data;
  TempLora document(model, config, book, 0, segments);
  for (const auto start = Clock::now(); document.next_chunk() < document.chunk_count();) {
    stop_if_asked();
    data.chunks.push_back(document.step().record);
    const double spent = seconds_since(start);
    const bool seen = data.chunks.size() > 1 && data.chunks.back().first_token >= full;
    if (spent > kMostSeconds || (seen && spent > kEnoughSeconds)) break;
  }
  BookRecord read;
  read.tokens = document.tokens_done();
  data.books.push_back(read);
  probe.cost = run_cost(data, PerplexityTable(), config, shape, MeasuredMemory());
  probe.chunks = std::int64_t(data.chunks.size());
  probe.seconds = probe.cost.seconds;
  return probe;
}

Probe probe_generation(LlamaImpl& model, const Config& config, const ModelShape& shape,
                       const std::vector<std::int64_t>& text) {
  constexpr std::int64_t kShortChunk = 64;
  Config some = config;
  std::int64_t& chunk = some.window.chunk_tokens;
  if (some.cache.policy == CachePolicy::rebuild) chunk = std::min(chunk, kShortChunk);
  some.generate.tokens = std::min(config.generate.tokens, 2 * chunk);
  some.generate.learn_prompt = false;
  constexpr std::int64_t kNoEnd = -1;
  Generation generation(model, some, text, kNoEnd);
  std::vector<GenerationRecord> records;
  while (!generation.finished()) {
    stop_if_asked();
    records.push_back(generation.step().record);
  }
  Probe probe;
  probe.cost = run_cost(records, some, shape, MeasuredMemory());
  probe.chunks = std::int64_t(records.size());
  probe.seconds = probe.cost.seconds;
  return probe;
}

Probe probe_pretraining(const Config& config, const ModelShape& shape, const Machine& machine) {
  const std::unique_ptr<Pretrainer> trainer = new_pretrainer(config, shape.vocab, machine);
  const PretrainConfig& p = config.pretrain;
  const at::Tensor sequences = at::randint(shape.vocab, {p.batch_sequences, p.sequence_tokens + 1}, at::kLong);
  trainer->step(sequences, 0);  // the first one pays for what is made once
  Probe probe;
  std::map<std::string, double> seconds;
  for (const auto start = Clock::now(); probe.chunks == 0 || seconds_since(start) < kEnoughSeconds; ++probe.chunks) {
    stop_if_asked();
    PhaseTimer timer(machine.device);
    trainer->on_part = [&](const char* part) { timer.mark(part); };
    trainer->step(sequences, 0);
    trainer->on_part = nullptr;
    for (const auto& [phase, spent] : timer.seconds()) seconds[phase] += spent;
  }
  probe.cost = run_cost(config, shape, probe.chunks * p.batch_sequences * p.sequence_tokens, seconds, MeasuredMemory());
  probe.seconds = probe.cost.seconds;
  return probe;
}

}  // namespace templora
