#include "metrics/paired_test.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "core/error.h"
#include "metrics/numpy_random.h"

namespace templora {
namespace {

// A draw that exchanges nothing gives the corpus's own difference: sums in another order must not make it larger.
constexpr double kRounding = 1e-12;

bool exceeds(double value, double observed) { return value > observed + kRounding * std::max(1.0, observed); }

double p_of(std::int64_t extreme, std::size_t draws) {
  return static_cast<double>(extreme + 1) / static_cast<double>(draws + 1);
}

void check_texts(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references) {
  if (hypotheses.size() != references.size())
    throw Error(Exit::bad_input, fmt::format("paired test: got {} hypotheses and {} references, wanted as many",
                                             hypotheses.size(), references.size()));
}

void add(std::vector<double>& sums, const SegmentStatistics& system, std::size_t segment) {
  const double* row = system.values.data() + segment * system.width;
  for (std::size_t k = 0; k < sums.size(); ++k) sums[k] += row[k];
}

double bootstrap(const SegmentStatistics& first, const SegmentStatistics& second, double observed,
                 const PairedTestOptions& options) {
  const std::size_t segments = first.segments();
  NumpyRandom random(options.seed);
  std::vector<double> differences, a(first.width), b(first.width);
  for (int draw = 0; draw < options.resamples; ++draw) {
    std::fill(a.begin(), a.end(), 0.0);
    std::fill(b.begin(), b.end(), 0.0);
    for (std::size_t i = 0; i < segments; ++i) {
      const std::size_t segment = random.below(segments);
      add(a, first, segment);
      add(b, second, segment);
    }
    differences.push_back(std::abs(second.score(b) - first.score(a)));
  }
  const double mean =
      std::accumulate(differences.begin(), differences.end(), 0.0) / static_cast<double>(differences.size());
  const auto extreme = std::count_if(differences.begin(), differences.end(),
                                     [&](double difference) { return exceeds(difference - mean, observed); });
  return p_of(extreme, differences.size());
}

double randomization(const SegmentStatistics& first, const SegmentStatistics& second, double observed,
                     const PairedTestOptions& options) {
  const std::size_t segments = first.segments(), width = first.width;
  NumpyRandom random(options.seed);
  const std::vector<double> all_first = first.sums(), all_second = second.sums();
  std::vector<double> moved(width), a(width), b(width);
  std::int64_t extreme = 0;
  for (int trial = 0; trial < options.trials; ++trial) {
    std::fill(moved.begin(), moved.end(), 0.0);
    for (std::size_t i = 0; i < segments; ++i) {
      if (random.flip()) continue;
      const double *x = first.values.data() + i * width, *y = second.values.data() + i * width;
      for (std::size_t k = 0; k < width; ++k) moved[k] += y[k] - x[k];
    }
    for (std::size_t k = 0; k < width; ++k) a[k] = all_first[k] + moved[k], b[k] = all_second[k] - moved[k];
    extreme += exceeds(std::abs(second.score(b) - first.score(a)), observed);
  }
  return p_of(extreme, static_cast<std::size_t>(options.trials));
}

}  // namespace

std::vector<double> SegmentStatistics::sums() const {
  std::vector<double> all(width);
  for (std::size_t i = 0; i < segments(); ++i) add(all, *this, i);
  return all;
}

SegmentStatistics bleu_segments(std::span<const std::string> hypotheses,
                                std::span<const std::vector<std::string>> references, const BleuOptions& options) {
  check_texts(hypotheses, references);
  const auto orders = static_cast<std::size_t>(options.max_order);
  SegmentStatistics out;
  out.width = 2 + 2 * orders;
  for (std::size_t i = 0; i < hypotheses.size(); ++i) {
    const BleuStatistics one = bleu_statistics(hypotheses[i], references[i], options, static_cast<std::int64_t>(i));
    out.values.push_back(static_cast<double>(one.hypothesis_words));
    out.values.push_back(static_cast<double>(one.reference_words));
    for (const auto* counts : {&one.matches, &one.totals})
      for (const std::int64_t count : *counts) out.values.push_back(static_cast<double>(count));
  }
  out.score = [orders, options](std::span<const double> sums) {
    BleuStatistics corpus;
    corpus.hypothesis_words = std::llround(sums[0]);
    corpus.reference_words = std::llround(sums[1]);
    for (std::size_t k = 0; k < orders; ++k) {
      corpus.matches.push_back(std::llround(sums[2 + k]));
      corpus.totals.push_back(std::llround(sums[2 + orders + k]));
    }
    corpus.segments = corpus.references = 1;
    return bleu_score(corpus, options).score;
  };
  return out;
}

SegmentStatistics chrf_segments(std::span<const std::string> hypotheses,
                                std::span<const std::vector<std::string>> references, const ChrfOptions& options) {
  check_texts(hypotheses, references);
  SegmentStatistics out;
  out.width = 3 * static_cast<std::size_t>(options.char_order + options.word_order);
  for (std::size_t i = 0; i < hypotheses.size(); ++i)
    for (const ChrfStatistics::Order& order :
         chrf_statistics(hypotheses[i], references[i], options, static_cast<std::int64_t>(i)).orders)
      for (const std::int64_t count : {order.hypothesis, order.reference, order.matches})
        out.values.push_back(static_cast<double>(count));
  out.score = [options](std::span<const double> sums) {
    ChrfStatistics corpus;
    for (std::size_t k = 0; k + 2 < sums.size(); k += 3)
      corpus.orders.push_back({std::llround(sums[k]), std::llround(sums[k + 1]), std::llround(sums[k + 2])});
    corpus.segments = corpus.references = 1;
    return chrf_score(corpus, options).score;
  };
  return out;
}

SegmentStatistics mean_segments(std::span<const double> values) {
  SegmentStatistics out;
  out.width = 2;
  for (const double value : values) out.values.insert(out.values.end(), {value, 1.0});
  out.score = [](std::span<const double> sums) { return sums[0] / sums[1]; };
  return out;
}

PairedTest paired_test(const SegmentStatistics& first, const SegmentStatistics& second,
                       const PairedTestOptions& options) {
  TEMPLORA_CHECK(first.width > 0 && first.width == second.width, "paired test: two systems by the same score");
  TEMPLORA_CHECK(options.resamples > 0 && options.trials > 0, "paired test: draws");
  if (first.values.empty() || first.values.size() != second.values.size())
    throw Error(Exit::bad_input, fmt::format("paired test: got {} and {} segments, wanted as many, and at least one",
                                             first.segments(), second.segments()));
  PairedTest test;
  test.first = first.score(first.sums());
  test.second = second.score(second.sums());
  const double observed = std::abs(test.second - test.first);
  if (!exceeds(observed, 0)) return test;
  test.bootstrap_p = bootstrap(first, second, observed, options);
  test.randomization_p = randomization(first, second, observed, options);
  return test;
}

}  // namespace templora
