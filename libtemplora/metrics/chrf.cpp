#include "metrics/chrf.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/check.h"
#include "core/error.h"
#include "metrics/bleu.h"
#include "metrics/ngram_matches.h"
#include "metrics/unicode.h"

namespace templora {

namespace {

void check_options(const ChrfOptions& options) {
  if (options.char_order < 0 || options.word_order < 0 || options.char_order + options.word_order < 1 ||
      options.beta < 0) {
    throw Error(Exit::usage, fmt::format("chrF: got char order {}, word order {}, beta {}, wanted none negative and an "
                                         "order above 0", options.char_order, options.word_order, options.beta));
  }
}

bool is_ascii_punctuation(char32_t value) {
  return (value >= '!' && value <= '/') || (value >= ':' && value <= '@') || (value >= '[' && value <= '`') ||
         (value >= '{' && value <= '~');
}

/// Words with one mark at their end, else one at their start, cut off: "(hi)" is "(hi" and ")".
std::vector<std::u32string_view> words_and_marks(std::u32string_view text) {
  std::vector<std::u32string_view> out;
  for (const std::u32string_view word : split_words(text)) {
    std::size_t cut = 0;
    if (word.size() > 1 && is_ascii_punctuation(word.back())) {
      cut = word.size() - 1;
    } else if (word.size() > 1 && is_ascii_punctuation(word.front())) {
      cut = 1;
    }
    if (cut > 0) out.push_back(word.substr(0, cut));
    out.push_back(word.substr(cut));
  }
  return out;
}

/// One side of a segment as the two sequences that are compared.
struct Side {
  std::u32string chars, words;
};

Side prepared(std::string_view text, const char* what, std::int64_t segment, const ChrfOptions& options,
              WordNumbers& numbers) {
  std::u32string points = code_points(text, what, segment);
  if (options.lowercase) points = lower_case(points);
  Side side;
  if (options.word_order > 0) side.words = numbers(words_and_marks(points));
  if (options.whitespace) {
    side.chars = std::move(points);
  } else {
    for (const std::u32string_view word : split_words(points)) side.chars += word;
  }
  return side;
}

void add_orders(std::u32string_view hypothesis, std::u32string_view reference, int max_order,
                std::vector<ChrfStatistics::Order>& out) {
  if (max_order == 0) return;
  const std::vector<std::int64_t> matches = ngram_matches(hypothesis, {&reference, 1}, max_order);
  for (int n = 1; n <= max_order; ++n) {
    const std::int64_t in_reference = ngram_count(reference.size(), n);
    out.push_back({in_reference > 0 ? ngram_count(hypothesis.size(), n) : 0, in_reference,
                   matches[static_cast<std::size_t>(n - 1)]});
  }
}

double f_score(const std::vector<ChrfStatistics::Order>& orders, const ChrfOptions& options) {
  constexpr double kEps = 1e-16;
  const double factor = static_cast<double>(options.beta) * options.beta;
  double sum = 0, precisions = 0, recalls = 0;
  int effective = 0;
  for (const auto& [hypothesis, reference, matches] : orders) {
    const auto m = static_cast<double>(matches);
    const double precision = hypothesis > 0 ? m / static_cast<double>(hypothesis) : kEps;
    const double recall = reference > 0 ? m / static_cast<double>(reference) : kEps;
    const double below = factor * precision + recall;
    sum += below > 0 ? (1 + factor) * precision * recall / below : kEps;
    if (hypothesis > 0 && reference > 0) {
      precisions += precision;
      recalls += recall;
      ++effective;
    }
  }
  if (options.eps_smoothing) return 100 * sum / static_cast<double>(orders.size());
  if (effective == 0 || precisions + recalls == 0) return 0;
  precisions /= effective;
  recalls /= effective;
  return 100 * ((1 + factor) * precisions * recalls / (factor * precisions + recalls));
}

}  // namespace

ChrfStatistics& ChrfStatistics::operator+=(const ChrfStatistics& other) {
  if (other.segments == 0) return *this;
  if (segments == 0) return *this = other;
  TEMPLORA_CHECK(orders.size() == other.orders.size(), "counts of the same orders");
  for (std::size_t n = 0; n < orders.size(); ++n) {
    orders[n].hypothesis += other.orders[n].hypothesis;
    orders[n].reference += other.orders[n].reference;
    orders[n].matches += other.orders[n].matches;
  }
  segments += other.segments;
  if (references != other.references) references = 0;
  return *this;
}

ChrfStatistics chrf_statistics(std::string_view hypothesis, std::span<const std::string> references,
                               const ChrfOptions& options, std::int64_t segment) {
  check_options(options);
  if (references.empty()) {
    throw Error(Exit::bad_input, fmt::format("segment {}: references: got none, wanted one or more",
                                             std::max<std::int64_t>(segment, 0)));
  }
  WordNumbers numbers;
  const Side ours = prepared(hypothesis, "hypothesis", segment, options, numbers);
  ChrfStatistics best;
  double best_score = -1;
  for (const std::string& reference : references) {
    const Side theirs = prepared(reference, "reference", segment, options, numbers);
    std::vector<ChrfStatistics::Order> orders;
    add_orders(ours.chars, theirs.chars, options.char_order, orders);
    add_orders(ours.words, theirs.words, options.word_order, orders);
    const double score = f_score(orders, options);
    if (score > best_score) {
      best_score = score;
      best.orders = std::move(orders);
    }
  }
  best.segments = 1;
  best.references = static_cast<int>(references.size());
  return best;
}

ChrfScore chrf_score(const ChrfStatistics& statistics, const ChrfOptions& options) {
  check_options(options);
  if (statistics.segments == 0) throw Error(Exit::bad_input, "chrF: got no segment, wanted one or more");
  TEMPLORA_CHECK(statistics.orders.size() == static_cast<std::size_t>(options.char_order + options.word_order),
                 "counts made with these options");
  return {f_score(statistics.orders, options),
          fmt::format("chrF{}", options.beta) + std::string(static_cast<std::size_t>(options.word_order), '+'),
          chrf_signature(options, statistics.references)};
}

ChrfScore corpus_chrf(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const ChrfOptions& options) {
  if (hypotheses.size() != references.size()) {
    throw Error(Exit::bad_input, fmt::format("chrF: got {} hypotheses and references of {} segments, wanted as many",
                                             hypotheses.size(), references.size()));
  }
  ChrfStatistics sum;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    sum += chrf_statistics(hypotheses[i], references[i], options, static_cast<std::int64_t>(i));
  }
  return chrf_score(sum, options);
}

ChrfScore sentence_chrf(std::string_view hypothesis, std::span<const std::string> references,
                        const ChrfOptions& options) {
  return chrf_score(chrf_statistics(hypothesis, references, options), options);
}

std::string chrf_signature(const ChrfOptions& options, int references) {
  return fmt::format("nrefs:{}|case:{}|eff:{}|nc:{}|nw:{}|space:{}|version:{}",
                     references == 0 ? "var" : std::to_string(references), options.lowercase ? "lc" : "mixed",
                     options.eps_smoothing ? "no" : "yes", options.char_order, options.word_order,
                     options.whitespace ? "yes" : "no", kSacrebleuVersion);
}

}  // namespace templora
