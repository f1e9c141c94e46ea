#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// How chrF is computed. The defaults are sacreBLEU's chrF2; with word_order 2 it is chrF2++.
struct ChrfOptions {
  int char_order = 6;          ///< longest n-gram of characters
  int word_order = 0;          ///< longest n-gram of words, a punctuation mark at a word's edge apart
  int beta = 2;                ///< recall counts beta² times as much as precision
  bool lowercase = false;      ///< compare lower_case() of both sides (metrics/unicode.h)
  bool whitespace = false;     ///< keep white space among the characters
  bool eps_smoothing = false;  ///< mean of the orders' F scores, 1e-16 for what is missing; else mean precision and
                               ///< recall of the orders that both sides have
};

/// Counts of a set of segments: for each order of characters, then of words. Those of a union of disjoint sets are
/// the sum; scores are not.
struct ChrfStatistics {
  struct Order {
    std::int64_t hypothesis = 0;  ///< n-grams of the hypotheses, where the reference has any
    std::int64_t reference = 0;
    std::int64_t matches = 0;
  };
  std::vector<Order> orders;
  std::int64_t segments = 0;
  int references = 0;  ///< a segment; 0 if they differ

  /// Both made with the same options; a default-constructed one takes any.
  ChrfStatistics& operator+=(const ChrfStatistics& other);
};

struct ChrfScore {
  double score = 0;       ///< 0 … 100
  std::string name;       ///< "chrF2", "chrF2++"
  std::string signature;  ///< "nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.6.0"
};

/// Counts of one segment against the reference that gives it the best score, UTF-8 on both sides. Throws
/// Error(bad_input) without a reference or where a text is not UTF-8, naming `segment` if that is not negative, and
/// Error(usage) for options out of range.
ChrfStatistics chrf_statistics(std::string_view hypothesis, std::span<const std::string> references,
                               const ChrfOptions& options = {}, std::int64_t segment = -1);

/// chrF (Popović 2015, 2017) of counts made with the same options. Throws Error(bad_input) if they are of no segment.
ChrfScore chrf_score(const ChrfStatistics& statistics, const ChrfOptions& options = {});

/// chrF of a corpus as sacreBLEU 2.6.0 computes it; references[i] are those of hypotheses[i]. Throws as the two
/// above, and Error(bad_input) if there are not as many of one as of the other.
ChrfScore corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const ChrfOptions& options = {});

/// chrF of one sentence. Throws as above.
ChrfScore sentence_chrf(std::string_view hypothesis, std::span<const std::string> references,
                        const ChrfOptions& options = {});

/// sacreBLEU's signature; `references` a segment, 0 for "var".
std::string chrf_signature(const ChrfOptions& options, int references = 1);

}  // namespace templora
