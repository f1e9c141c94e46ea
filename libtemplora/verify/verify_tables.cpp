#include "verify/verify_tables.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "metrics/perplexity.h"
#include "plan/scored_arms.h"
#include "report/perplexity_plot.h"
#include "report/perplexity_table.h"
#include "run/run_data.h"
#include "run/token_ids.h"

namespace templora {
namespace {

constexpr double kMostBelowZero = 1e-3;  // a sum in float32 may round below it

/// One book's values by one arm, beside what its chunks say.
void check_values(const UnverifiedRun& run, std::int64_t book, Arm arm, const std::vector<float>& values,
                  const std::string& file, Verification& v) {
  std::size_t at = 0;
  for (std::size_t i = 0; i < run.chunks.size(); ++i) {
    const ChunkRecord& chunk = run.chunks[i];
    if (chunk.book_index != book) continue;
    const auto count = static_cast<std::size_t>(chunk.scored_tokens);
    if (!v.expect(values.size() - at >= count, "nll-size",
                  fmt::format("{}: got {} values, wanted more for chunk {}", file, values.size(), chunk.chunk)))
      return;
    double sum = 0;
    for (std::size_t k = at; k < at + count; ++k) {
      const auto value = static_cast<double>(values[k]);
      sum += value;
      if (!std::isfinite(value))
        v.found("nll-finite", fmt::format("{}: value {} of chunk {} is {}", file, k - at, chunk.chunk, value));
      else
        v.expect(value >= -kMostBelowZero, "nll-negative",
                 fmt::format("{}: value {} of chunk {} is {}, wanted at least 0", file, k - at, chunk.chunk, value));
    }
    const std::optional<double> mean = mean_nll(chunk, arm);
    if (count > 0 && mean) {
      const double found = sum / static_cast<double>(count);
      v.expect(std::abs(found - *mean) <= 1e-9 * std::max(1.0, std::abs(*mean)), "chunk-mean",
               fmt::format("{}: {}_nll: got {}, but the values in {} have the mean {}", run.places[i], arm_name(arm),
                           *mean, file, found));
    }
    at += count;
  }
  if (run.finished)
    v.expect(at == values.size(), "nll-size", fmt::format("{}: got {} values, wanted {}", file, values.size(), at));
}

/// Ids beside the NLLs, one for each; adds their files' names to `wanted`. A run that was resumed may have them though
/// its record does not ask for them.
void verify_token_ids(const UnverifiedRun& run, std::vector<std::string>& wanted, Verification& v) {
  for (const BookRecord& book : run.books) {
    const std::string file = token_ids_name(book.book_index);
    const bool there = fs::exists(run.folder / file);
    wanted.push_back(file);
    if (!there && (!run.config->score.keep_tokens || !run.finished)) continue;  // they are written at the end
    v.check("token-ids");
    if (!v.expect(there, "missing-file", file + ": missing")) continue;
    std::int64_t scored = 0;
    for (const ChunkRecord& chunk : run.chunks)
      if (chunk.book_index == book.book_index) scored += chunk.scored_tokens;
    const auto bytes = static_cast<std::int64_t>(fs::file_size(run.folder / file));
    v.expect(bytes == 4 * scored || !run.finished, "token-ids",
             fmt::format("{}: got {} bytes, wanted {}, 4 for each NLL", file, bytes, 4 * scored));
  }
}

}  // namespace

void verify_nll(UnverifiedRun& run, Verification& v) {
  v.check({"nll-size", "nll-finite", "nll-negative", "chunk-mean"});
  const Config& config = *run.config;
  const std::vector<Arm> arms = scored_arms(config);
  std::vector<std::string> wanted;
  for (const BookRecord& book : run.books)
    for (const Arm arm : arms) {
      const std::string file = fmt::format("nll/{}-{}.f32", book.book_index, arm_name(arm));
      wanted.push_back(file);
      if (!fs::exists(run.folder / file)) {
        // A text of which nothing can be scored may have none.
        const bool scored = std::any_of(run.chunks.begin(), run.chunks.end(), [&](const ChunkRecord& chunk) {
          return chunk.book_index == book.book_index && chunk.scored_tokens > 0;
        });
        v.expect(!scored, "missing-file", file + ": missing");
        continue;
      }
      const std::string bytes = read_file(run.folder / file);
      v.expect(bytes.size() % sizeof(float) == 0 || !run.finished, "nll-size",
               fmt::format("{}: got {} bytes, wanted a multiple of {}", file, bytes.size(), sizeof(float)));
      std::vector<float>& values = run.nll[book.book_index][arm];
      values.resize(bytes.size() / sizeof(float));
      std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
      check_values(run, book.book_index, arm, values, file, v);
    }
  verify_token_ids(run, wanted, v);
  if (!fs::is_directory(run.folder / "nll")) return;
  for (const fs::directory_entry& entry : fs::directory_iterator(run.folder / "nll")) {
    const std::string file = "nll/" + entry.path().filename().string();
    v.expect(std::find(wanted.begin(), wanted.end(), file) != wanted.end(), "unknown-file",
             file + ": no scorer and book of this run");
  }
}

void verify_perplexity_tables(const UnverifiedRun& run, Verification& v) {
  if (!run.finished) return;
  v.check({"summary-table", "table-text", "plot", "chunk-seconds"});
  const bool fits = v.sound("nll-size") && v.sound("record-fields") && v.sound("record-syntax") &&
                    v.sound("chunk-order") && v.sound("book-order") && v.sound("scored-tokens") &&
                    v.sound("token-gap") && v.sound("token-overlap") && v.sound("nll-finite") &&
                    v.sound("missing-file");
  if (!fits || !run.summary) {
    for (const char* name : {"summary-table", "table-text", "plot"})
      v.not_checked(name, "the records do not fit together, see above");
    return;
  }
  const RunData data{run.run, run.books, run.chunks, run.nll};
  const Json version = run.summary->value("table_version", Json());
  const bool known = version.is_number_integer() && version >= kFirstTableVersion && version <= kTableVersion;
  if (!known) {
    for (const char* name : {"summary-table", "table-text", "plot"})
      v.not_checked(name, "the tables were made by another version");
  } else {
    const PerplexityTable table = perplexity_table(data, version.get<int>());
    const std::string difference = first_difference(*run.summary, to_json(table));
    v.expect(difference.empty(), "summary-table", "summary.json: " + difference + ", as the per-token NLLs give");
    expect_text(
        run, "table.md", [&](const Json& record) { return perplexity_markdown(table, record); }, "table-text",
        v);
    expect_text(run, "perplexity.svg", [&](const Json&) { return perplexity_svg(data); }, "plot", v);
  }
  double seconds = 0;
  for (const ChunkRecord& chunk : run.chunks)
    for (const auto& [phase, spent] : chunk.seconds) seconds += spent;
  const double recorded = run.summary->value("chunk_seconds", -1.0);
  v.expect(std::abs(recorded - seconds) <= 1e-6 * std::max(1.0, seconds), "chunk-seconds",
           fmt::format("summary.json: chunk_seconds: got {}, wanted {}, the sum of the chunks'", recorded, seconds));
}

void verify_weights(const UnverifiedRun& run, Verification& v) {
  const std::string before_run = run.identity("weights_hash");
  v.check("weights-identity");
  v.expect(!before_run.empty(), "weights-identity", "run.json: identity: weights_hash: missing");
  if (!run.summary) return;
  v.check("weights-changed");
  const auto text = [&](const char* key) {
    const auto found = run.summary->find(key);
    return found == run.summary->end() || !found->is_string() ? std::string() : found->get<std::string>();
  };
  const std::string before = text("weights_hash_before"), after = text("weights_hash_after");
  v.expect(!after.empty() && before == after, "weights-changed",
           fmt::format("summary.json: got weights_hash_before \"{}\" and weights_hash_after \"{}\", wanted the same: "
                       "the base model changed",
                       before, after));
  v.expect(
      before == before_run, "weights-identity",
      fmt::format("summary.json: weights_hash_before: got \"{}\", wanted \"{}\", as in run.json", before, before_run));
}

}  // namespace templora
