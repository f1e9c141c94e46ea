#include "report/position_curve.h"

#include <algorithm>
#include <map>

#include "metrics/derived.h"
#include "metrics/interval.h"

namespace templora {
namespace {

constexpr std::int64_t kLeastBinTokens = 100;  // fewer say more about words than about positions

using Books = std::map<std::int64_t, BinSum>;

/// Mean NLL of each book that all seeds have there.
std::map<std::int64_t, double> means_of(const std::vector<const Books*>& seeds) {
  std::map<std::int64_t, double> means;
  for (const auto& [book, first] : *seeds.front()) {
    double sum = 0;
    std::size_t found = 0;
    for (const Books* books : seeds)
      if (const auto there = books->find(book); there != books->end()) sum += there->second.mean(), ++found;
    if (found == seeds.size()) means[book] = sum / static_cast<double>(found);
  }
  return means;
}

double mean_of(const std::map<std::int64_t, double>& books) {
  double sum = 0;
  for (const auto& [book, mean] : books) sum += mean;
  return sum / static_cast<double>(books.size());
}

/// The interval of the paired difference, on the base's line.
void add_interval(const std::map<std::int64_t, double>& books, const std::map<std::int64_t, double>& base,
                  CurvePoint& point) {
  std::vector<double> differences;
  for (const auto& [book, mean] : books)
    if (const auto found = base.find(book); found != base.end()) differences.push_back(mean - found->second);
  if (differences.size() != books.size() || base.size() != books.size()) return;
  const BookMean mean = mean_over_books(differences);
  if (!mean.low || !mean.high) return;
  const double line = mean_of(base);
  point.low = perplexity_of(line + *mean.low);
  point.high = perplexity_of(line + *mean.high);
  if (!point.low || !point.high) point.low.reset(), point.high.reset();
}

/// A bin of each seed; none where a seed has nothing there.
std::vector<const Books*> bin_of(const std::vector<const PositionBins*>& seeds, Arm arm, std::int64_t bin) {
  std::vector<const Books*> found;
  for (const PositionBins* seed : seeds) {
    const auto bins = seed->sums.find(arm);
    if (bins == seed->sums.end() || !bins->second.contains(bin)) return {};
    found.push_back(&bins->second.at(bin));
  }
  return found;
}

std::optional<double> seed_deviation(const std::vector<const Books*>& seeds,
                                     const std::map<std::int64_t, double>& counted) {
  std::vector<double> values;
  for (const Books* books : seeds) {
    double sum = 0;
    for (const auto& [book, mean] : counted) sum += books->at(book).mean();
    if (const auto ppl = perplexity_of(sum / static_cast<double>(counted.size()))) values.push_back(*ppl);
  }
  return values.size() == seeds.size() ? standard_deviation(values) : std::nullopt;
}

}  // namespace

PositionBins position_bins(const RunData& run) {
  std::int64_t longest = 1;
  for (const ChunkRecord& chunk : run.chunks) longest = std::max(longest, chunk.first_token + chunk.tokens);
  PositionBins bins{std::max(kLeastBinTokens, (longest + kCurveBins - 1) / kCurveBins), {}};
  for (const Arm arm : kArms) {
    std::map<std::int64_t, std::size_t> used;  // values of each book
    for (const ChunkRecord& chunk : run.chunks) {
      const auto book = run.nll.find(chunk.book_index);
      if (book == run.nll.end() || !book->second.contains(arm)) continue;
      const std::vector<float>& values = book->second.at(arm);
      std::size_t& at = used[chunk.book_index];
      const std::int64_t end = chunk.first_token + chunk.tokens;
      for (std::int64_t t = end - chunk.scored_tokens; t < end && at < values.size(); ++t, ++at) {
        BinSum& sum = bins.sums[arm][t / bins.bin_tokens][chunk.book_index];
        sum.nll += values[at];
        ++sum.tokens;
      }
    }
  }
  return bins;
}

std::vector<PositionCurve> position_curves(const PositionBins& run) { return position_curves({&run}); }

std::vector<PositionCurve> position_curves(const std::vector<const PositionBins*>& all) {
  std::vector<const PositionBins*> seeds;
  for (const PositionBins* seed : all)
    if (seed->bin_tokens == all.front()->bin_tokens) seeds.push_back(seed);
  std::vector<PositionCurve> curves;
  if (seeds.empty()) return curves;
  for (const auto& [arm, bins] : seeds.front()->sums) {
    PositionCurve curve{arm, seeds.front()->bin_tokens, {}};
    for (const auto& [bin, first] : bins) {
      const std::vector<const Books*> here = bin_of(seeds, arm, bin), base = bin_of(seeds, Arm::base, bin);
      const std::map<std::int64_t, double> books = here.empty() ? std::map<std::int64_t, double>() : means_of(here);
      if (books.empty()) continue;
      CurvePoint point;
      point.token = (static_cast<double>(bin) + 0.5) * static_cast<double>(curve.bin_tokens);
      const std::optional<double> ppl = perplexity_of(mean_of(books));
      if (!ppl) continue;  // beyond every axis
      point.ppl = *ppl;
      if (arm != Arm::base) point.seed_sd = seed_deviation(here, books);  // which no seed changes
      point.books = static_cast<std::int64_t>(books.size());
      for (const auto& [book, mean] : books) point.tokens += first.at(book).tokens;
      if (arm != Arm::base && !base.empty()) add_interval(books, means_of(base), point);
      curve.points.push_back(point);
    }
    if (!curve.points.empty()) curves.push_back(std::move(curve));
  }
  return curves;
}

}  // namespace templora
