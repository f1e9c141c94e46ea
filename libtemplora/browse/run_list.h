#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "metrics/run_progress.h"
#include "report/run_summary.h"
#include "sweep/expression.h"

namespace templora {

/// A run as a list shows it.
struct ListedRun {
  RunSummary run;               ///< its record and settings alone
  RunProgress progress;
  std::string date;             ///< "2026-11-29 19:06": when it began; of older runs by their folder's name or age
  std::string name;             ///< its --name; else a cell's sweep and values, or its folder's name
  std::vector<std::string> tags;
  std::string state;            ///< run_state_name()
};

/// Looks at each run; what is no run any more, or a damaged one, is told in `remarks`.
std::vector<ListedRun> list_runs(const std::vector<RunSource>& sources, std::vector<std::string>& remarks);

/// What a run is worth under a key: a config key, or one of the list's own: date, name, model, state, base, ppl, change
/// (percent), tokens, folder. null where it has none.
Json value_of(const ListedRun& run, const std::string& key);

/// The expression of --where or --sort's key; its keys are those of value_of(). Throws Error(usage).
Expression read_condition(const std::string& text);
void require_list_key(const std::string& key, const std::string& where);

/// Whether the condition holds for a run. One that needs a number which this run does not have does not hold. Throws
/// Error(usage) where the condition is none, or compares what cannot be compared.
bool holds_for(const Expression& condition, const ListedRun& run);

/// Sorts by a key, numbers before texts, runs without a value last; equal ones stay in order.
void sort_runs(std::vector<ListedRun>& runs, const std::string& key, bool reverse);

/// "Δ 256, rank 8" of each run: the settings in which these runs differ, the seed too.
std::vector<std::string> differing_settings(const std::vector<ListedRun>& runs);

/// A table for a terminal, one line a run.
std::string list_text(const std::vector<ListedRun>& runs);
Json list_json(const std::vector<ListedRun>& runs);

}  // namespace templora
