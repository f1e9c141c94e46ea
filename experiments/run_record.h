#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "core/json.h"
#include "cost/run_cost.h"
#include "experiment/machine.h"
#include "metrics/run_progress.h"
#include "run/record.h"
#include "run/run_folder.h"
#include "text/tokenizer.h"

namespace templora {

// What experiments share: runs that score texts (books in perplexity, novels in translation), and what every run
// records.

/// run.json of such a run: its config and what decides its numbers.
Json run_record(const LoadedConfig& loaded, const Machine& machine, const std::string& weights,
                const Tokenizer& tokenizer, const std::vector<std::string>& text_hashes,
                const std::vector<std::string>& control_text_hashes);

/// "Δ 256 behind L_X 256; learnt behind L_T 256, 2 steps each": what a run of this config does to each chunk.
std::string windows_text(const Config& config);

/// Creates a run's folder, or opens it to go on, and says on standard error where it is: once it is there.
RunFolder open_run_folder(const fs::path& path, const Json& record, const LoadedConfig& loaded, bool resume);

/// Refuses a text that stands twice among the texts of `key`, whatever the files are called: it would count
/// as two in every mean over texts. `hashes` are of the texts after normalising, one a path. Of a run that
/// has begun (`resumed`) the log says so, and it goes on. Throws Error(bad_input).
void check_distinct_texts(const std::vector<fs::path>& paths, const std::vector<std::string>& hashes,
                          const char* key, bool resumed);

/// Refuses tokens that the model has no embedding of; `where` stands in the error, bad_input.
void check_ids(const std::vector<std::int64_t>& ids, const std::string& where, const LlamaConfig& model);

/// What a finished run cost: cost.md in its folder, and "cost" and "peak_rss_bytes" in its summary.
void record_cost(const RunFolder& folder, const RunCost& cost, const MeasuredMemory& memory, Json& summary);

/// Hashes the base weights once more. → "weights_hash_before" and "weights_hash_after" for summary.json; another hash
/// than at the start is a bug of ours.
Json unchanged_weights(LlamaImpl& model, const std::string& hash_before);

/// The perplexities of a run so far, for its progress line; of a run that goes on, with what its records say.
class RunningTotals {
 public:
  /// `run` is the folder of a run whose records are as its state has them.
  explicit RunningTotals(const fs::path& run);
  void add(const ChunkRecord& record);
  /// " PPL so far: base 34.81, Temp-LoRA 30.02 (−13.8 %)"; "" before the first chunk.
  std::string text() const;

 private:
  PerplexitySoFar so_far_;
};

}  // namespace templora
