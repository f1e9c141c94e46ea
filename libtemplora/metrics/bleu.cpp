#include "metrics/bleu.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/check.h"
#include "core/error.h"
#include "metrics/ngram_matches.h"
#include "metrics/unicode.h"

namespace templora {

namespace {

constexpr std::pair<BleuSmoothing, const char*> kSmoothings[] = {{BleuSmoothing::none, "none"},
                                                                 {BleuSmoothing::floor, "floor"},
                                                                 {BleuSmoothing::add_k, "add-k"},
                                                                 {BleuSmoothing::exp, "exp"}};

/// The value of floor and add-k; nothing for the others.
std::optional<double> value_of(const BleuOptions& options) {
  switch (options.smoothing) {
    case BleuSmoothing::floor: return options.smoothing_value.value_or(0.1);
    case BleuSmoothing::add_k: return options.smoothing_value.value_or(1.0);
    default: return std::nullopt;
  }
}

void check_options(const BleuOptions& options) {
  if (options.max_order < 1) {
    throw Error(Exit::usage, fmt::format("BLEU's longest n-gram: got {}, wanted 1 or more", options.max_order));
  }
  const double value = value_of(options).value_or(0);
  if (!(value >= 0) || !std::isfinite(value)) {
    throw Error(Exit::usage, fmt::format("BLEU's smoothing value: got {}, wanted 0 or more", value));
  }
}

/// A segment as BLEU's words, with white space between them.
std::u32string prepared(std::string_view text, const char* what, std::int64_t segment, const BleuOptions& options) {
  std::u32string points = code_points(text, what, segment);
  if (options.lowercase) points = lower_case(points);
  return spaced_words(strip_right(points), options.tokenizer);
}

std::int64_t closest_length(std::size_t words, std::span<const std::u32string_view> references) {
  const auto distance = [&](std::u32string_view reference) {
    return reference.size() > words ? reference.size() - words : words - reference.size();
  };
  std::u32string_view best = references.front();
  for (const std::u32string_view reference : references) {
    const auto mine = std::pair(distance(reference), reference.size());
    if (mine < std::pair(distance(best), best.size())) best = reference;
  }
  return static_cast<std::int64_t>(best.size());
}

/// log, but a very low number for 0: one order without a match makes the score 0.
double floored_log(double value) { return value == 0 ? -9999999999.0 : std::log(value); }

}  // namespace

BleuSmoothing bleu_smoothing_named(std::string_view name) {
  for (const auto& [value, known] : kSmoothings) {
    if (name == known) return value;
  }
  throw Error(Exit::usage, fmt::format("BLEU's smoothing: got {}, wanted none, floor, add-k or exp", printable(name)));
}

BleuStatistics& BleuStatistics::operator+=(const BleuStatistics& other) {
  if (other.segments == 0) return *this;
  if (segments == 0) return *this = other;
  TEMPLORA_CHECK(matches.size() == other.matches.size(), "counts of one longest n-gram");
  hypothesis_words += other.hypothesis_words;
  reference_words += other.reference_words;
  for (std::size_t n = 0; n < matches.size(); ++n) {
    matches[n] += other.matches[n];
    totals[n] += other.totals[n];
  }
  segments += other.segments;
  if (references != other.references) references = 0;
  return *this;
}

BleuStatistics bleu_statistics(std::string_view hypothesis, std::span<const std::string> references,
                               const BleuOptions& options, std::int64_t segment) {
  check_options(options);
  if (references.empty()) {
    throw Error(Exit::bad_input, fmt::format("segment {}: references: got none, wanted one or more",
                                             std::max<std::int64_t>(segment, 0)));
  }
  std::vector<std::u32string> texts{prepared(hypothesis, "hypothesis", segment, options)};
  for (const std::string& reference : references) texts.push_back(prepared(reference, "reference", segment, options));
  WordNumbers numbers;
  std::vector<std::u32string> words;
  for (const std::u32string& text : texts) words.push_back(numbers(split_words(text)));
  const std::vector<std::u32string_view> views(words.begin() + 1, words.end());

  BleuStatistics result;
  result.hypothesis_words = static_cast<std::int64_t>(words[0].size());
  result.reference_words = closest_length(words[0].size(), views);
  result.matches = ngram_matches(words[0], views, options.max_order);
  for (int n = 1; n <= options.max_order; ++n) result.totals.push_back(ngram_count(words[0].size(), n));
  result.segments = 1;
  result.references = static_cast<int>(references.size());
  return result;
}

BleuScore bleu_score(const BleuStatistics& statistics, const BleuOptions& options) {
  check_options(options);
  if (statistics.segments == 0) throw Error(Exit::bad_input, "BLEU: got no segment, wanted one or more");
  TEMPLORA_CHECK(statistics.matches.size() == static_cast<std::size_t>(options.max_order),
                 "counts made with these options");
  BleuScore result;
  result.hypothesis_words = statistics.hypothesis_words;
  result.reference_words = statistics.reference_words;
  result.counts.assign(statistics.matches.begin(), statistics.matches.end());
  result.totals.assign(statistics.totals.begin(), statistics.totals.end());
  result.precisions.assign(statistics.matches.size(), 0);
  result.signature = bleu_signature(options, statistics.references);
  if (result.hypothesis_words < result.reference_words) {
    const double ratio = static_cast<double>(result.reference_words) / static_cast<double>(result.hypothesis_words);
    result.brevity_penalty = result.hypothesis_words == 0 ? 0 : std::exp(1 - ratio);
  }
  if (std::all_of(statistics.matches.begin(), statistics.matches.end(), [](std::int64_t n) { return n == 0; })) {
    return result;
  }

  const double value = value_of(options).value_or(0);
  double halvings = 1;
  std::size_t orders = result.precisions.size();
  for (std::size_t n = 0; n < result.precisions.size(); ++n) {
    if (options.smoothing == BleuSmoothing::add_k && n > 0) {
      result.counts[n] += value;
      result.totals[n] += value;
    }
    if (result.totals[n] == 0) break;
    if (options.effective_order) orders = n + 1;
    if (result.counts[n] != 0) {
      result.precisions[n] = 100 * result.counts[n] / result.totals[n];
    } else if (options.smoothing == BleuSmoothing::exp) {
      halvings *= 2;
      result.precisions[n] = 100 / (halvings * result.totals[n]);
    } else if (options.smoothing == BleuSmoothing::floor) {
      result.precisions[n] = 100 * value / result.totals[n];
    }
  }
  double logs = 0;
  for (std::size_t n = 0; n < orders; ++n) logs += floored_log(result.precisions[n]);
  result.score = result.brevity_penalty * std::exp(logs / static_cast<double>(orders));
  return result;
}

BleuScore corpus_bleu(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references,
                      const BleuOptions& options) {
  if (hypotheses.size() != references.size()) {
    throw Error(Exit::bad_input, fmt::format("BLEU: got {} hypotheses and references of {} segments, wanted as many",
                                             hypotheses.size(), references.size()));
  }
  BleuStatistics sum;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    sum += bleu_statistics(hypotheses[i], references[i], options, static_cast<std::int64_t>(i));
  }
  return bleu_score(sum, options);
}

BleuScore sentence_bleu(std::string_view hypothesis, std::span<const std::string> references,
                        const BleuOptions& options) {
  return bleu_score(bleu_statistics(hypothesis, references, options), options);
}

std::string bleu_signature(const BleuOptions& options, int references) {
  std::string smoothing;
  for (const auto& [value, name] : kSmoothings) {
    if (value == options.smoothing) smoothing = name;
  }
  if (const std::optional<double> value = value_of(options)) smoothing += fmt::format("[{:.2f}]", *value);
  return fmt::format("nrefs:{}|case:{}|eff:{}|tok:{}|smooth:{}|version:{}",
                     references == 0 ? "var" : std::to_string(references), options.lowercase ? "lc" : "mixed",
                     options.effective_order ? "yes" : "no", bleu_tokenizer_name(options.tokenizer), smoothing,
                     kSacrebleuVersion);
}

double released_bleu(std::span<const std::string> hypotheses, std::span<const std::string> references) {
  constexpr std::string_view kEndOfTurn = "<|im_end|>";
  if (hypotheses.size() != references.size()) {
    throw Error(Exit::bad_input, fmt::format("BLEU: got {} hypotheses and {} references, wanted as many",
                                             hypotheses.size(), references.size()));
  }
  BleuOptions options;
  options.smoothing = BleuSmoothing::none;
  BleuStatistics sum;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    std::string hypothesis = hypotheses[i];
    for (std::size_t at = 0; (at = hypothesis.find(kEndOfTurn, at)) != std::string::npos;) {
      hypothesis.erase(at, kEndOfTurn.size());
    }
    const auto segment = static_cast<std::int64_t>(i);
    const std::string stripped = utf8(strip(code_points(hypothesis, "hypothesis", segment)));
    const std::string reference = utf8(strip(code_points(references[i], "reference", segment)));
    sum += bleu_statistics(stripped, {&reference, 1}, options, segment);
  }
  return bleu_score(sum, options).score / 100;
}

}  // namespace templora
