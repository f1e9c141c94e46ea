#include "report/position_curve.h"

#include <algorithm>
#include <map>

#include "metrics/derived.h"
#include "metrics/interval.h"

namespace templora {
namespace {

struct Sum {
  double nll = 0;
  std::int64_t tokens = 0;
  double mean() const { return nll / static_cast<double>(tokens); }
};

constexpr std::int64_t kLeastBinTokens = 100;  // fewer say more about words than about positions

/// [bin][book index] of one scorer.
using Bins = std::map<std::int64_t, std::map<std::int64_t, Sum>>;

Bins binned(const RunData& run, Scorer scorer, std::int64_t bin_tokens) {
  Bins bins;
  std::map<std::int64_t, std::size_t> used;  // values of each book
  for (const ChunkRecord& chunk : run.chunks) {
    const auto book = run.nll.find(chunk.book_index);
    if (book == run.nll.end() || !book->second.contains(scorer)) continue;
    const std::vector<float>& values = book->second.at(scorer);
    std::size_t& at = used[chunk.book_index];
    const std::int64_t end = chunk.first_token + chunk.tokens;
    for (std::int64_t t = end - chunk.scored_tokens; t < end && at < values.size(); ++t, ++at) {
      Sum& sum = bins[t / bin_tokens][chunk.book_index];
      sum.nll += values[at];
      ++sum.tokens;
    }
  }
  return bins;
}

double mean_of_books(const std::map<std::int64_t, Sum>& books) {
  double sum = 0;
  for (const auto& [book, of_book] : books) sum += of_book.mean();
  return sum / static_cast<double>(books.size());
}

/// The interval of the paired difference, on the base's line.
void add_interval(const std::map<std::int64_t, Sum>& books, const std::map<std::int64_t, Sum>& base, CurvePoint& point) {
  std::vector<double> differences;
  for (const auto& [book, sum] : books)
    if (const auto found = base.find(book); found != base.end()) differences.push_back(sum.mean() - found->second.mean());
  if (differences.size() != books.size() || base.size() != books.size()) return;
  const BookMean mean = mean_over_books(differences);
  if (!mean.low || !mean.high) return;
  const double line = mean_of_books(base);
  point.low = perplexity_of(line + *mean.low);
  point.high = perplexity_of(line + *mean.high);
  if (!point.low || !point.high) point.low.reset(), point.high.reset();
}

}  // namespace

std::vector<PositionCurve> position_curves(const RunData& run) {
  std::int64_t longest = 1;
  for (const ChunkRecord& chunk : run.chunks) longest = std::max(longest, chunk.first_token + chunk.tokens);
  const std::int64_t bin_tokens = std::max(kLeastBinTokens, (longest + kCurveBins - 1) / kCurveBins);
  const Bins base = binned(run, Scorer::base, bin_tokens);
  std::vector<PositionCurve> curves;
  for (const Scorer scorer : kScorers) {
    const Bins own = scorer == Scorer::base ? base : binned(run, scorer, bin_tokens);
    PositionCurve curve{scorer, bin_tokens, {}};
    for (const auto& [bin, books] : own) {
      CurvePoint point;
      point.token = (static_cast<double>(bin) + 0.5) * static_cast<double>(bin_tokens);
      const std::optional<double> ppl = perplexity_of(mean_of_books(books));
      if (!ppl) continue;  // beyond every axis
      point.ppl = *ppl;
      point.books = static_cast<std::int64_t>(books.size());
      for (const auto& [book, sum] : books) point.tokens += sum.tokens;
      if (const auto found = base.find(bin); scorer != Scorer::base && found != base.end()) add_interval(books, found->second, point);
      curve.points.push_back(point);
    }
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

}  // namespace templora
