#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "metrics/derived.h"
#include "metrics/interval.h"
#include "run/run_data.h"

namespace templora {

/// Perplexities of a set of tokens by both definitions; each is missing where no double holds it (metrics/derived.h).
struct Perplexity {
  std::optional<double> corpus;      ///< exp(ΣNLL / Σtokens)
  std::optional<double> chunk_mean;  ///< Σ(exp(mean NLL of chunk) · tokens) / Σ tokens: what the released code prints
  std::int64_t tokens = 0;           ///< scored tokens
  std::optional<double> book_mean;   ///< mean of the books' own corpus perplexities, every book counting alike
  /// exp(ΣNLL / Σwords), PG-19's convention, and ΣNLL / ln 2 / Σbytes of the text, where a token that was not scored
  /// counts as much as the book's mean one; but the first, which nothing predicts. Words and bytes are known of whole
  /// books only: none in segments, and where a book was not read to its end; no word level of texts without spaces.
  std::optional<double> word_level, bits_per_byte;
};

/// A mean NLL less the base's on the same tokens, nats, of each book by its place in the run.
using BookDifferences = std::map<std::size_t, double>;

/// Their mean with its interval, as a change of perplexity in percent; none for no book, or where no double holds it.
std::optional<BookMean> mean_change(const BookDifferences& books);

/// Those of books that are in both, less the others.
BookDifferences less(const BookDifferences& books, const BookDifferences& others);

/// One cell row: base beside adapter on the same tokens.
struct SegmentRow {
  std::string label;                      ///< "0-100K", "500K+", "all"
  std::int64_t first_token = 0;
  std::optional<std::int64_t> end_token;  ///< none: open
  std::int64_t tokens = 0;
  std::int64_t books = 0;
  std::optional<Perplexity> base, lora;
  std::optional<double> change_corpus_percent, change_chunk_mean_percent;  ///< lora against base
  /// The first segment's change, of only those books that reach this segment: tells a growing gain from a
  /// change of books.
  std::optional<double> first_segment_change_percent;
  std::map<Arm, Perplexity> controls;  ///< of the controls that the run has
  std::map<Arm, BookDifferences> book_differences;  ///< of all arms but the base
  /// By arm, controls included: the mean over books of mean NLL minus the base's, as a change of perplexity in
  /// percent. Every book counts alike, so that it is not the change of the corpus. Left out where no double holds it.
  std::map<Arm, BookMean> over_books;
  /// The same difference less that of the first segment, of the books that have tokens in both: whether the gain grows
  /// with the position. A change of perplexity in percent; none in the first segment's row and in "all".
  std::map<Arm, BookMean> against_first_segment;
  /// In a single book's rows, by arm: the same difference weighted by tokens, with what chance within the book does
  /// to it, as a change of perplexity in percent.
  std::map<Arm, BlockMean> within_book;
};

/// A row on fewer books than this says nothing about other books; tables mark it.
inline constexpr std::int64_t kFewBooks = 3;

/// 100 · (to / from - 1).
std::optional<double> change_percent(const std::optional<Perplexity>& from, const std::optional<Perplexity>& to);

struct PerplexityTable {
  int version = 0;                                                   ///< kTableVersion, or an older one
  std::vector<SegmentRow> all;                                       ///< one per segment, then "all"
  std::vector<std::pair<std::string, std::vector<SegmentRow>>> books;  ///< by book, same rows
  std::vector<std::string> no_gain_possible;                         ///< books that fit into one window
  /// What the released code prints (its item 3 weighting applied when fidelity is official): see docs.
  std::optional<double> official_base, official_lora;
  std::vector<std::string> notes;  ///< why numbers of whole texts are missing, one sentence a reason
};

/// Of the tables' form and numbers, in summary.json. Version 2, of templora 0.1, divided the NLL of the
/// scored tokens by all words and bytes of a text, whether or not all tokens were scored, and told words by
/// white space in every text. Versions before 4 printed segments that no book reaches; their numbers are the same.
inline constexpr int kTableVersion = 4, kFirstTableVersion = 2;
inline constexpr int kVersionOfUnscoredTokens = 3, kVersionWithoutEmptySegments = 4;

/// Computes the table from a run's per-token NLLs alone, by the formulas of `version`. Tokens, not chunks,
/// are assigned to segments: a chunk across an edge counts on both sides with the tokens that lie there.
PerplexityTable perplexity_table(const RunData& run, int version = kTableVersion);

Json to_json(const PerplexityTable& table);

}  // namespace templora
