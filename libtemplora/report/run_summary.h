#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "metrics/perplexity.h"
#include "metrics/translation_tests.h"
#include "report/position_curve.h"

namespace templora {

/// A folder to report on.
struct RunSource {
  fs::path folder;
  std::string name;                           ///< for tables; as given on the command line
  std::map<std::string, std::string> values;  ///< of the swept keys, as JSON text; empty outside a sweep
  std::vector<std::int64_t> edges = {};       ///< segment edges that the sweep asks for; empty: the run's own
  std::string sweep = {};                     ///< name of the sweep that it is a cell of; empty outside a sweep
};

/// What a report keeps of a run: numbers that are few, never the NLLs of each token.
struct RunSummary {
  std::string name;
  fs::path folder;
  bool finished = false;
  bool counted = false;                         ///< its numbers were asked for: finished, or unfinished ones too
  std::string problem;                          ///< why an unfinished run's numbers could not be read
  Json record;                                  ///< run.json
  Json summary;                                 ///< summary.json; null while it is unfinished
  /// Of the swept keys: one a combination of a sweep that the run is the cell of, as several of equal effect share one.
  /// None outside a sweep.
  std::vector<std::map<std::string, std::string>> combinations;
  /// The effective config by dotted key, values as JSON text, without what changes no number; and hashes of
  /// what was read: `model config`, `weights`, `adapter`, `tokenizer`, `texts`, `control texts`, `prompt`,
  /// `training texts`, `validation texts`.
  std::map<std::string, std::string> settings;
  std::set<std::string> read;                   ///< keys of inputs among them where such a hash says what was read
  std::optional<PerplexityTable> table;         ///< perplexity runs, with the report's segment edges
  std::optional<PositionBins> bins;             ///< perplexity runs
  std::vector<TranslationTest> tests;           ///< finished translations, base against Temp-LoRA
  std::map<std::string, double> seconds;        ///< phase -> s, all chunks
  bool base_taken_over = false;  ///< base scores came from another run, whose time is not among the seconds
  std::int64_t tokens = 0;                      ///< processed, all books
  /// What a sweep table can show: "base", "lora", "change", "seconds" and "flops" (both a token), "base_bleu", … No
  /// "seconds" where base_taken_over: they would not compare.
  std::map<std::string, double> measures;

  std::string experiment() const;
  std::string config_hash() const;              ///< "" where the record lacks it
  /// A config value by dotted key as people read it (no quotes); "" where there is none.
  std::string setting(const std::string& key) const;
  std::string model() const;                    ///< model_name() of its folder
};

/// Seconds by phase of a line of chunks.jsonl or steps.jsonl; older steps have their whole only, as "step".
std::map<std::string, double> phase_seconds(const Json& record);

/// Reads a run. `edges` replaces score.segment_edges where it is not empty. An unfinished run is read only if
/// `unfinished_too`, and then damage is noted in `problem`; a finished one that is damaged is an error.
/// Throws Error(bad_input) for a folder that is no run.
RunSummary read_report_run(const RunSource& source, const std::vector<std::int64_t>& edges, bool unfinished_too);

/// The same for many, each folder once, with the values of all sources that name it; without `edges` those of the first
/// perplexity run's source hold for all, or where it has none the run's own.
std::vector<RunSummary> read_report_runs(const std::vector<RunSource>& sources, std::vector<std::int64_t> edges,
                                         bool unfinished_too);

}  // namespace templora
