#include "metrics/text_statistics.h"

namespace templora {
namespace {

constexpr std::size_t kGram = 4;

double distinct_share(std::span<const std::int64_t> tokens, std::size_t n) {
  if (tokens.size() < n) return 1;
  std::set<std::vector<std::int64_t>> grams;
  for (std::size_t i = 0; i + n <= tokens.size(); ++i)
    grams.emplace(tokens.begin() + std::ptrdiff_t(i), tokens.begin() + std::ptrdiff_t(i + n));
  return static_cast<double>(grams.size()) / static_cast<double>(tokens.size() - n + 1);
}

}  // namespace

void RepetitionCounter::add_context(std::span<const std::int64_t> tokens) { add_chunk(tokens); }

TextStatistics RepetitionCounter::add_chunk(std::span<const std::int64_t> tokens) {
  TextStatistics statistics;
  std::size_t grams = 0, repeated = 0;
  for (const std::int64_t token : tokens) {
    tail_.push_back(token);
    if (tail_.size() < kGram) continue;
    ++grams;
    repeated += !seen_.insert(tail_).second;
    tail_.erase(tail_.begin());
  }
  if (grams > 0) statistics.repeated_4grams = static_cast<double>(repeated) / static_cast<double>(grams);
  for (std::size_t n = 1; n <= kGram; ++n) statistics.distinct[n - 1] = distinct_share(tokens, n);
  return statistics;
}

}  // namespace templora
