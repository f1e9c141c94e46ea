#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "report/report_table.h"
#include "report/run_summary.h"

namespace templora {

/// Runs that differ in nothing but the seed.
struct RunGroup {
  std::vector<std::size_t> runs;  ///< indices into the list that was grouped, one a seed
  /// Runs with a seed that another has too, and that one: one result that was made again, and counts once.
  std::vector<std::pair<std::size_t, std::size_t>> repeats;
  /// Where it differs from the other groups, in words: "Δ 256, L_X 64". Empty for a group alone.
  std::string label;
};

/// What a report looks through for groups, in the order in which it shows them.
inline constexpr const char* kExperiments[] = {"perplexity", "translation", "generation", "pretrain"};

/// Groups those runs of an experiment that have numbers, in order of model and then of their settings.
std::vector<RunGroup> group_runs(const std::vector<RunSummary>& runs, const std::string& experiment);

/// Its label; of a group alone the model.
std::string group_name(const std::vector<RunSummary>& runs, const RunGroup& group);

/// The runs of all these groups.
std::vector<std::size_t> runs_of(const std::vector<RunGroup>& groups);

/// Of runs that differ in nothing but the seed one for each seed: the first that is finished, else the first.
std::vector<std::size_t> one_a_seed(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among);

/// A sentence on each run that repeats another with the same seed, and whether it has the same numbers.
std::vector<std::string> repeat_remarks(const std::vector<RunSummary>& runs);

/// A dotted key as tables show it: "Δ" for window.chunk_tokens, "rank" for lora.rank.
std::string short_name(const std::string& key);

/// Settings whose values differ between these runs, seed excluded; keys that say what an earlier one says already
/// (the same values, run by run) are left out, and so are paths where hashes tell.
std::vector<std::string> differing_keys(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among);

/// The same for names: where all are points of sweeps, their point (kPointKey) in front, and no key that it settles.
std::vector<std::string> naming_keys(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among);
/// "Δ 256", "rank null"; of kPointKey the point's name.
std::string setting_text(const RunSummary& run, const std::string& key);

/// The model and what these runs have in common of the settings that a reader asks for first, "small-6m, L_X 256, rank
/// 64"; with `more`, which says some of them already ("Δ 256, rank 64"), behind the model.
std::string common_settings(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among,
                            const std::string& more = "");

/// The phase in which the base model scores, and whether some of these runs took its scores over from another run: then
/// their times compare without it only.
inline constexpr const char* kBasePhase = "score_base";
bool base_is_shared(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among);

/// W: the most tokens that the model sees at once when it scores; "" where the config has no windows.
std::string window_tokens(const RunSummary& run);

/// Whether numbers come before other numbers, and texts by their letters.
bool setting_less(const std::string& a, const std::string& b);

using NumberOf = std::function<std::optional<double>(const RunSummary&)>;

/// The mean of a number over runs of different seeds, with their standard deviation where there are several.
/// No value if one of them has none.
Cell mean_cell(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among, const NumberOf& number);

/// Each book's mean over several runs, of the books that all of them have.
BookDifferences mean_differences(const std::vector<BookDifferences>& of_runs);

/// An arm's change over the books of a row of the table, in percent: a book's difference from the base is its mean over
/// the seeds, and mean and interval are over the books; the deviation is that of the seeds' own means. Books that a
/// seed lacks, as unfinished runs do, are left out. With `since_first` less the same in the first segment.
Cell book_cell(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among, std::size_t row, Arm arm,
               bool since_first = false);

}  // namespace templora
