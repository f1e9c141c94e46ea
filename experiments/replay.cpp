// Chunks of a finished or stopped perplexity run, run again.

#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <random>
#include <set>

#include "config/lengths.h"
#include "experiment/machine.h"
#include "experiment/temp_lora.h"
#include "model/load.h"
#include "perplexity.h"
#include "run/run_data.h"
#include "run/run_folder.h"
#include "run/run_state.h"
#include "run_books.h"
#include "verify_inputs.h"

namespace templora {
namespace {

constexpr double kMeanTolerance =
    0.02;  // of a chunk's mean NLL: another machine rounds otherwise, and training carries that on

/// One draw from each of `count` equal parts of the run's chunks, in order.
std::vector<std::size_t> picks(std::size_t chunks, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::size_t> picked;
  count = std::min(count, chunks);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = i * chunks / count, end = (i + 1) * chunks / count;
    picked.push_back(first + random() % (end - first));
  }
  return picked;
}

using Adapters = std::vector<std::shared_ptr<TemporaryAdapter>>;

struct Counts {
  std::int64_t run = 0, from_state = 0, from_start = 0, values = 0;
};

/// Compares what a chunk gave now with what the run recorded.
void compare(const RunData& data, const ChunkResult& result, const ChunkRecord& wanted, std::size_t value_at, bool bits,
             Counts& counts, Verification& v) {
  const auto compare_one = [&](Arm arm, const std::vector<float>& now) {
    const auto of_book = data.nll.find(wanted.book_index);
    if (of_book == data.nll.end() || !of_book->second.contains(arm)) return;
    const std::vector<float>& then = of_book->second.at(arm);
    const std::string where = fmt::format("{}: chunk {}: {}", wanted.book, wanted.chunk, arm_name(arm));
    if (!v.expect(now.size() == std::size_t(wanted.scored_tokens) && value_at + now.size() <= then.size(), "replay-nll",
                  fmt::format("{}: got {} values, wanted {}", where, now.size(), wanted.scored_tokens)))
      return;
    double off = 0, sum = 0;
    std::int64_t other = 0;
    for (std::size_t i = 0; i < now.size(); ++i) {
      other += std::memcmp(&now[i], &then[value_at + i], sizeof(float)) != 0;
      off += double(now[i]) - double(then[value_at + i]);
      sum += then[value_at + i];
    }
    counts.values += std::int64_t(now.size());
    const bool good = bits ? other == 0 : std::abs(off) <= kMeanTolerance * std::max(1.0, std::abs(sum));
    v.expect(
        good, "replay-nll",
        fmt::format("{}: {} of {} values differ, their mean by {:+.3g} nats: the record is not what this run gives",
                    where, other, now.size(), off / double(std::max<std::size_t>(1, now.size()))));
  };
  if (!result.base_nll.empty()) compare_one(Arm::base, result.base_nll);
  if (!result.lora_nll.empty()) compare_one(Arm::lora, result.lora_nll);
  for (const auto& [arm, nll] : result.control_nll) compare_one(arm, nll);
}

/// The newest usable state of a book at or before a chunk, later than `after`.
std::optional<StateFile> nearest_state(const std::vector<StateFile>& states, std::int64_t book, std::int64_t chunk,
                                       std::int64_t after) {
  std::optional<StateFile> best;
  for (const StateFile& state : states) {
    const std::int64_t next = state.state.value("next_chunk", std::int64_t{-1});
    if (state.state.value("book_index", std::int64_t{-1}) != book || next > chunk || next <= after) continue;
    if (!best || next > best->state.at("next_chunk").get<std::int64_t>()) best = state;
  }
  return best;
}

std::vector<StateFile> usable_states(const fs::path& folder) {
  std::vector<StateFile> states;
  if (!fs::is_directory(folder / "state")) return states;
  std::string why;
  for (const std::int64_t number : state_numbers(folder / "state"))
    if (std::optional<StateFile> state = read_state(folder, number, why)) states.push_back(std::move(*state));
  return states;
}

bool same_machine(const Machine& machine, const Json& run_record) {
  const Json now = identity_of(machine), &then = run_record.at("identity");
  for (const auto& item : now.items()) {
    if (item.key() == "row_kernels" && !then.contains(item.key())) continue;  // which older records lack
    if (!then.contains(item.key()) || then.at(item.key()) != item.value()) return false;
  }
  return run_record.value("processor", "") == machine.device_name;
}

void replay(const fs::path& folder, Config& config, const Json& run_record, std::int64_t count, Verification& v) {
  const RunData data = read_run(folder);
  if (data.chunks.empty()) return v.not_checked("replay-nll", "the run has no chunk yet");
  config.run.threads = run_record.at("identity").value("threads", config.run.threads);
  const Machine machine = set_up_machine(config.model, config.run);
  const Tokenizer tokenizer = open_tokenizer(config.model);
  Llama model = open_model(config.model, machine);
  const std::vector<Book> books =
      read_books(config, expand_globs(config.data.books, "."), tokenizer, model->config()).books;
  const std::vector<Book> control_books = read_control_books(config, tokenizer, model->config());
  for (const BookRecord& record : data.books)
    if (record.book_index >= std::int64_t(books.size()) ||
        books[std::size_t(record.book_index)].text_hash != record.text_hash)
      return v.not_checked("replay-nll", fmt::format("{} is not the text that was scored, see text-file", record.book));
  const std::vector<std::string> control_hashes = recorded_control_hashes(run_record);
  for (std::size_t i = 0; i < std::max(control_hashes.size(), control_books.size()); ++i)
    if (i >= control_hashes.size() || i >= control_books.size() || control_books[i].text_hash != control_hashes[i])
      return v.not_checked("replay-nll", "the controls' texts are not those that were learnt, see control-text-file");
  const std::vector<StateFile> states = usable_states(folder);
  const bool bits = machine.device.is_cpu() && same_machine(machine, run_record);
  const auto started = std::chrono::steady_clock::now();
  Counts counts;
  std::vector<std::string> names;
  std::optional<TempLora> document;
  std::int64_t book = -1;
  bool goes_on = false;  // with the adapter of the book before
  const auto run_up_to = [&](std::int64_t chunk) {
    const auto of_book = [&](const ChunkRecord& record) { return record.book_index == book; };
    const auto first_record =
        std::size_t(std::find_if(data.chunks.begin(), data.chunks.end(), of_book) - data.chunks.begin());
    while (document->next_chunk() < chunk) {
      const std::size_t at = first_record + std::size_t(document->next_chunk());
      if (at >= data.chunks.size() || !of_book(data.chunks[at]))
        throw Error(Exit::bad_input, fmt::format("chunks.jsonl: got no record of chunk {} of book {}, wanted all up to "
                                                 "the one that is run again",
                                                 document->next_chunk(), book));
      std::size_t value_at = 0;
      for (std::size_t i = first_record; i < at; ++i) value_at += std::size_t(data.chunks[i].scored_tokens);
      compare(data, document->step(), data.chunks[at], value_at, bits, counts, v);
      ++counts.run;
    }
  };
  for (const std::size_t pick : picks(data.chunks.size(), std::size_t(count), std::uint64_t(config.seed))) {
    const ChunkRecord& wanted = data.chunks[pick];
    while (wanted.book_index != book) {
      // One adapter for all books comes from the end of the book before, unless a state has it.
      const bool leaps = !one_for_all(config) || wanted.book_index < book ||
                         nearest_state(states, wanted.book_index, wanted.chunk, 0);
      if (document && !leaps) run_up_to(document->chunk_count());
      const auto adapters = document && !leaps ? document->adapters() : Adapters();
      book = leaps ? wanted.book_index : book + 1;
      document.reset();  // the old document's adapter leaves the model before the next one comes
      document.emplace(*model, config, books[std::size_t(book)], book,
                       run_segments(config, books, control_books, book), make_optimizer,
                       read_before(config, token_counts(books), std::size_t(book)));
      goes_on = !adapters.empty();
      if (goes_on) document->go_on_with(adapters);
    }
    if (wanted.chunk >= document->chunk_count())
      return v.found("replay-nll",
                     fmt::format("{}: chunk {}: got no such chunk, the book has {} with this config and tokenizer",
                                 wanted.book, wanted.chunk, document->chunk_count()));
    if (const auto state = nearest_state(states, book, wanted.chunk, document->next_chunk())) {
      document->restore(state->state, state->tensors);
      ++counts.from_state;
    } else if (document->next_chunk() == 0 && !goes_on) {
      ++counts.from_start;
    }
    run_up_to(wanted.chunk + 1);
    names.push_back(fmt::format("{} chunk {}", wanted.book, wanted.chunk));
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  v.remark(fmt::format(
      "replayed {}: {} chunks were run, {} starts from a saved state and {} from a document's start, {:.1f} s; {} "
      "values compared {}",
      fmt::join(names, ", "), counts.run, counts.from_state, counts.from_start, seconds, counts.values,
      bits ? "bit for bit"
           : fmt::format("by the chunks' means within {} %, since the machine is another", 100 * kMeanTolerance)));
}

}  // namespace

void replay_chunks(const std::string& folder, Config config, const Json& run_record, std::int64_t count,
                   Verification& v) {
  v.check("replay-nll");
  if (config.experiment != ExperimentKind::perplexity)
    return v.not_checked("replay-nll", "only perplexity runs can be replayed");
  try {
    replay(folder, config, run_record, count, v);
  } catch (const Error& error) {
    if (error.exit_code() == Exit::numerics) return v.found("replay-nll", error.what());
    if (v.sound()) throw;  // asked for and not done: no run of it must look like a replay
    v.not_checked("replay-nll", error.what());
  } catch (const nlohmann::json::exception& error) {  // a damaged record, found already
    v.not_checked("replay-nll", error.what());
  }
}

}  // namespace templora
