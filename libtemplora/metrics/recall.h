#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "metrics/interval.h"
#include "run/recall_record.h"

namespace templora {

// Arms of probes.jsonl beside those of Arm: the base with the fact, or a passage that BM25 found, in its window.
inline constexpr const char* kInWindow = "in_window";
inline constexpr const char* kBm25 = "bm25";

/// Rank of the right one of several answers by their NLLs, from 1; ties count as worse.
std::int64_t rank_of(const std::vector<double>& nll, std::size_t right);

/// F1 of two lists of words as sets with repetition; 0 where one of them is empty.
double word_f1(const std::vector<std::string>& got, const std::vector<std::string>& wanted);

/// How likely each number of hits is by chance: [k] is the probability of exactly k.
using HitDistribution = std::vector<double>;
/// Of hits in independent groups.
HitDistribution convolve(const HitDistribution& a, const HitDistribution& b);
/// P(at least `hits`).
double upper_tail(const HitDistribution& distribution, std::int64_t hits);

/// Hits of choices that have nothing to do with which answer is right: counts[a][c] facts have right answer a and
/// choice c, and all ways to deal the answers out are as likely (an exact permutation test). A square matrix.
HitDistribution dealt_out(const std::vector<std::vector<std::int64_t>>& counts);

/// Upper end of the one-sided Clopper-Pearson interval of a share, `hits` of `asked`; 1 − level^(1 / asked) for none.
double clopper_pearson_upper(std::int64_t hits, std::int64_t asked, double level = 0.05);

/// What one arm gave to the questions of a row.
struct RecallScore {
  std::int64_t asked = 0, correct = 0;  ///< correct: 0 in rungs without right and wrong
  double mean_nll = 0;                  ///< nats an answer or sentence
  std::optional<double> mean_f1;
  std::optional<double> p;              ///< of so many correct by chance, one-sided
  std::optional<double> upper;          ///< of the share, 95 %, where none was correct
  /// The same where each answer's NLL counts by how far it lies below the base's; in choices, of other arms than base.
  std::optional<std::int64_t> correct_less_base;
  std::optional<double> p_less_base;
  /// Rungs without right and wrong: mean NLL less the base's, every book counting alike.
  std::optional<BookMean> less_base;
  std::optional<std::int64_t> old_answers;  ///< "conflict": what was corrected was chosen
  double share() const { return asked > 0 ? double(correct) / double(asked) : 0; }
};

/// One line of the table.
struct RecallRow {
  std::int64_t distance_tokens = 0;   ///< 0: "locality", which has none
  std::string rung;
  std::optional<std::int64_t> times;  ///< facts of so many sentences; none: all
  std::optional<double> chance;
  std::map<std::string, RecallScore> arms;  ///< by name
  /// (Temp-LoRA − floor) / (ceiling − floor), by share or by mean NLL; the floor is the adapter of another text, or the
  /// base where there is none; the ceiling the base with the fact in its window. None where the ceiling is no higher,
  /// of nats where it is not lower by at least 5 %.
  std::optional<double> recalled;
};

/// Whether the templates measure anything with this model: the base with the fact in its window answers.
struct RecallGate {
  std::string rung;
  double wanted = 0;  ///< share
  std::int64_t asked = 0, correct = 0;
  bool passed() const { return asked > 0 && double(correct) >= wanted * double(asked); }
};

struct RecallTable {
  std::int64_t books = 0, facts = 0;   ///< asked facts, of all books
  std::vector<RecallRow> rows;
  std::vector<RecallGate> gates;
  std::string floor;                   ///< arm
  const RecallGate* gate(const std::string& rung) const;
};

/// The table of one run, or of several with facts of their own, whose books are taken together.
RecallTable recall_table(const std::vector<RecallData>& runs);
Json to_json(const RecallTable& table);

/// "choice", …, in the order of tables.
const std::vector<std::string>& recall_rungs();

}  // namespace templora
