#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/bleu_tokenizer.h"

namespace templora {

/// The version of sacreBLEU whose numbers and signatures these are.
inline constexpr const char* kSacrebleuVersion = "2.6.0";

/// What stands in for the precision of an order without a match (Chen and Cherry 2014).
enum class BleuSmoothing {
  none,    ///< "none": zero, and so is the score
  floor,   ///< "floor": the value in place of zero matches
  add_k,   ///< "add-k": the value added to matches and n-grams of each order above 1
  exp,     ///< "exp": 1/2, 1/4, … of a match for the first, second, … such order, as mteval-v13a
};

/// Throws Error(usage) for a name other than those four.
BleuSmoothing bleu_smoothing_named(std::string_view name);

/// How BLEU is computed. Defaults are sacreBLEU's; for single sentences it advises `effective_order`.
struct BleuOptions {
  BleuTokenizer tokenizer = BleuTokenizer::v13a;
  BleuSmoothing smoothing = BleuSmoothing::exp;
  std::optional<double> smoothing_value;  ///< of floor (0.1 if not given) and add_k (1); others have none
  int max_order = 4;                      ///< longest n-gram
  bool effective_order = false;           ///< leave out orders above the longest n-gram that a hypothesis has
  bool lowercase = false;                 ///< compare lower_case() of both sides (metrics/unicode.h)
};

/// Counts of a set of segments. Those of a union of disjoint sets are the sum; scores are not.
struct BleuStatistics {
  std::int64_t hypothesis_words = 0;
  std::int64_t reference_words = 0;   ///< of the reference closest in length, the shorter one of two
  std::vector<std::int64_t> matches;  ///< n-grams of order 1 … max_order met by a reference, at most as often as there
  std::vector<std::int64_t> totals;   ///< n-grams of the hypotheses
  std::int64_t segments = 0;
  int references = 0;                 ///< a segment; 0 if they differ

  /// Both of the same max_order; a default-constructed one takes any.
  BleuStatistics& operator+=(const BleuStatistics& other);
};

/// A score with all it is made of, named as sacreBLEU names it where that has a name.
struct BleuScore {
  double score = 0;                ///< 0 … 100: brevity penalty · geometric mean of the precisions
  std::vector<double> counts;      ///< matches by order, with what add-k added
  std::vector<double> totals;      ///< n-grams of the hypotheses by order, likewise
  std::vector<double> precisions;  ///< percent by order, smoothed; all 0 without any match
  double brevity_penalty = 1;      ///< exp(1 − reference / hypothesis words) where the hypotheses are shorter
  std::int64_t hypothesis_words = 0;
  std::int64_t reference_words = 0;
  std::string signature;           ///< "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
};

/// Counts of one segment, UTF-8 on both sides. Throws Error(bad_input) without a reference or where a text is not
/// UTF-8, naming `segment` if that is not negative, and Error(usage) for options out of range.
BleuStatistics bleu_statistics(std::string_view hypothesis, std::span<const std::string> references,
                               const BleuOptions& options = {}, std::int64_t segment = -1);

/// BLEU (Papineni et al. 2002, section 2) of counts made with the same options. Throws Error(bad_input) if they are
/// of no segment.
BleuScore bleu_score(const BleuStatistics& statistics, const BleuOptions& options = {});

/// BLEU of a corpus as sacreBLEU computes it; references[i] are those of hypotheses[i]. Throws as the two above,
/// and Error(bad_input) if there are not as many of one as of the other.
BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const BleuOptions& options = {});

/// BLEU of one sentence with the options as given. Throws as above.
BleuScore sentence_bleu(std::string_view hypothesis, std::span<const std::string> references,
                        const BleuOptions& options = {});

/// sacreBLEU's signature; `references` a segment, 0 for "var".
std::string bleu_signature(const BleuOptions& options, int references = 1);

/// BLEU as the script released with the Temp-LoRA paper prints it, 0 … 1: one corpus, 13a, order 4, no smoothing,
/// "<|im_end|>" taken out of the hypotheses, both sides stripped. 0 where that script would divide by zero (nothing
/// but empty hypotheses or references). Throws Error(bad_input) like corpus_bleu.
double released_bleu(std::span<const std::string> hypotheses, std::span<const std::string> references);

}  // namespace templora
