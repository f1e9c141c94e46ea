#include "probe.h"

#include <ATen/ops/randint.h>
#include <fmt/format.h>

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
#include "plan/document_plan.h"
#include "pretrain.h"
#include "run/run_data.h"
#include "train/pretrainer.h"

namespace templora {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kEnoughSeconds = 4;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Looks between two chunks whether a probe may go on.
class ProbeClock {
 public:
  /// A chunk was computed. Throws where the program was asked to stop.
  void mark() {
    if (stop_requested()) throw Error(Exit::interrupted, "stopped; a dry run has nothing to save");
    const double now = seconds_since(start_);
    last_ = now - spent_;
    spent_ = now;
  }
  double spent() const { return spent_; }
  /// Whether the next one, of which the context is twice as long at most, ends in time.
  bool has_time() const { return spent_ + 2 * last_ <= kMostProbeSeconds; }

 private:
  Clock::time_point start_ = Clock::now();
  double spent_ = 0, last_ = 0;
};

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

  // The first step pays for what is made once. Where it is slow that is little beside it, and all that is measured.
  Probe probe;
  RunData data;
  BookRecord read;
  const std::int64_t of = DocumentPlan(config, std::int64_t(books[longest].tokens.size())).size();
  bool full_windows = false;
  ProbeClock clock;
  const auto measure = [&](bool once) {
    data.chunks.clear();
    TempLora document(model, config, book, 0, segments);
    do {
      data.chunks.push_back(document.step().record);
      clock.mark();
      full_windows = data.chunks.back().first_token >= full;
    } while (!once && document.next_chunk() < document.chunk_count() && clock.has_time() &&
             !(full_windows && clock.spent() > kEnoughSeconds));
    read.tokens = document.tokens_done();
  };
  measure(true);
  if (clock.has_time()) measure(false);
  data.books.push_back(read);
  probe.cost = run_cost(data, PerplexityTable(), config, shape, MeasuredMemory());
  probe.chunks = std::int64_t(data.chunks.size());
  probe.seconds = probe.cost.seconds;
  probe.what = fmt::format("the first {}of {} chunks of {}{}",
                           probe.chunks == 1 ? "" : fmt::format("{} ", probe.chunks), of, printable(book.name),
                           full_windows || probe.chunks == of ? "" : " (windows were not full yet)");
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
  ProbeClock clock;
  do {
    records.push_back(generation.step().record);
    clock.mark();
  } while (!generation.finished() && clock.has_time());
  Probe probe;
  probe.cost = run_cost(records, some, shape, MeasuredMemory());
  probe.chunks = std::int64_t(records.size());
  probe.seconds = probe.cost.seconds;
  probe.what = fmt::format("{} of {} tokens behind the prompt",
                           probe.chunks == 1 ? "a chunk" : fmt::format("{} chunks", probe.chunks), chunk);
  return probe;
}

Probe probe_pretraining(const Config& config, const ModelShape& shape, const Machine& machine) {
  const std::unique_ptr<Pretrainer> trainer = new_pretrainer(config, shape.vocab, machine);
  const PretrainConfig& p = config.pretrain;
  const at::Tensor sequences = at::randint(shape.vocab, {p.batch_sequences, p.sequence_tokens + 1}, at::kLong);
  Probe probe;
  std::map<std::string, double> seconds;
  ProbeClock clock;
  const auto measure = [&](bool once) {  // as with chunks, the first step is measured where it is slow
    seconds.clear();
    probe.chunks = 0;
    do {
      PhaseTimer timer(machine.device);
      trainer->on_part = [&](const char* part) { timer.mark(part); };
      trainer->step(sequences, 0);
      trainer->on_part = nullptr;
      for (const auto& [phase, spent] : timer.seconds()) seconds[phase] += spent;
      ++probe.chunks;
      clock.mark();
    } while (!once && clock.has_time() && clock.spent() < kEnoughSeconds);
  };
  measure(true);
  if (clock.has_time()) measure(false);
  probe.cost = run_cost(config, shape, probe.chunks * p.batch_sequences * p.sequence_tokens, seconds, MeasuredMemory());
  probe.seconds = probe.cost.seconds;
  probe.what = probe.chunks == 1 ? "one step" : fmt::format("{} steps", probe.chunks);
  return probe;
}

}  // namespace templora
