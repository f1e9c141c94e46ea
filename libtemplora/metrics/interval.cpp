#include "metrics/interval.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/check.h"
#include "core/error.h"
#include "metrics/derived.h"

namespace templora {
namespace {

constexpr std::size_t kFewestForBootstrap = 8, kFewestForSignFlip = kFewestBooks;
constexpr int kResamples = 10000;
constexpr double kLevel = 0.95;
constexpr double kWidest =
    100;  // in standard errors: beyond it, the quantile comes from resamples of one value over and over

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Standard error of the mean.
double standard_error(const std::vector<double>& values) {
  const double mean = mean_of(values);
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  const auto n = static_cast<double>(values.size());
  return std::sqrt(squares / (n - 1) / n);
}

/// splitmix64: a resampling draws hundreds of thousands of indices, and everywhere the same ones.
class Indices {
 public:
  explicit Indices(std::uint64_t seed) : state_(seed) {}
  /// An index below `n`.
  std::size_t below(std::uint64_t n) {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return static_cast<std::size_t>(((z ^ (z >> 31)) >> 32) * n >> 32);
  }

 private:
  std::uint64_t state_;
};

/// Deviations from the mean in standard errors: t is the same, and sums lose nothing. Empty where all are equal.
std::vector<double> scaled_deviations(const std::vector<double>& values) {
  const double mean = mean_of(values), error = standard_error(values);
  std::vector<double> scaled;
  if (!(error > 0)) return scaled;
  for (const double value : values) scaled.push_back((value - mean) / error);
  return scaled;
}

/// The quantile of the largest |t| of several means over the same `books` books, each of scaled deviations; a resample
/// draws the same books for all. None where nearly all books have the same value.
std::optional<double> largest_t(const std::vector<std::vector<double>>& scaled, std::size_t books, std::uint64_t seed) {
  Indices random(seed);
  const auto n = static_cast<double>(books);
  std::vector<double> largest;
  largest.reserve(kResamples);
  std::vector<std::size_t> drawn(books);
  for (int i = 0; i < kResamples; ++i) {
    for (std::size_t& book : drawn) book = random.below(books);
    double most = -1;
    for (const std::vector<double>& deviations : scaled) {
      double sum = 0, squares = 0;
      for (const std::size_t book : drawn) {
        sum += deviations[book];
        squares += deviations[book] * deviations[book];
      }
      const double drawn_error = std::sqrt(std::max(0.0, squares - sum * sum / n) / (n - 1) / n);
      // A resample of one book over and over has no error of its own: an infinite t.
      if (drawn_error > 1e-6)
        most = std::max(most, std::abs(sum) / n / drawn_error);
      else if (sum != 0)
        most = std::numeric_limits<double>::infinity();
    }
    if (most >= 0) largest.push_back(most);
  }
  // One quantile of |t|: an equal-tailed interval covered less where a few books vary more than the rest.
  if (largest.empty()) return std::nullopt;
  std::sort(largest.begin(), largest.end());
  const double quantile =
      largest[static_cast<std::size_t>(kLevel * static_cast<double>(largest.size() - 1) + 0.5)];
  if (quantile > kWidest) return std::nullopt;
  return quantile;
}

/// Leaves them without an interval where resampling can give none.
void bootstrap_t(const std::vector<std::vector<double>>& values, std::uint64_t seed, std::vector<BookMean>& out) {
  std::vector<std::vector<double>> scaled;
  for (const std::vector<double>& of_one : values)
    if (auto deviations = scaled_deviations(of_one); !deviations.empty()) scaled.push_back(std::move(deviations));
  const std::optional<double> t =
      scaled.empty() ? std::optional(0.0) : largest_t(scaled, values.front().size(), seed);
  if (!t) return;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double error = standard_error(values[i]);
    out[i].low = out[i].mean - error * *t;
    out[i].high = out[i].mean + error * *t;
    out[i].method = "bootstrap-t";
  }
}

/// Two-sided p of the hypothesis that the mean is `centre`, over all signs of the deviations from it.
double sign_flip_p(const std::vector<double>& values, double centre) {
  double observed = 0;
  for (const double value : values) observed += value - centre;
  const std::uint64_t all = std::uint64_t{1} << values.size();
  std::uint64_t extreme = 0;
  for (std::uint64_t signs = 0; signs < all; ++signs) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += (signs >> i & 1 ? -1 : 1) * (values[i] - centre);
    extreme += std::abs(sum) >= std::abs(observed) * (1 - 1e-12);
  }
  return static_cast<double>(extreme) / static_cast<double>(all);
}

/// The farthest centre on one side that the test does not reject; at the most extreme value it always does.
double sign_flip_end(const std::vector<double>& values, double mean, double beyond) {
  double kept = mean, rejected = beyond;
  for (int i = 0; i < 60; ++i) {
    const double middle = 0.5 * (kept + rejected);
    (sign_flip_p(values, middle) > 1 - kLevel ? kept : rejected) = middle;
  }
  return kept;
}

// Side by side. More and shorter blocks than the most would miss likeness over long stretches.
constexpr std::int64_t kFewestBlockChunks = 16, kFewestBlocks = 4, kMostBlocks = 8;

/// 97.5 % point of Student's t: tabulated up to 30 degrees of freedom, then by its expansion around the normal.
double student_t(std::int64_t degrees) {
  constexpr std::array kTable{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                              2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                              2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees <= static_cast<std::int64_t>(kTable.size())) return kTable[static_cast<std::size_t>(degrees - 1)];
  constexpr double z = 1.959964;
  return z + (z * z * z + z) / (4 * static_cast<double>(degrees));
}

}  // namespace

double sign_flip_p_below(const std::vector<double>& values, std::uint64_t seed) {
  constexpr std::size_t kMostExact = 20;
  constexpr std::uint64_t kDraws = 100'000;
  double observed = 0, size = 0;
  for (const double value : values) TEMPLORA_CHECK(std::isfinite(value), "a book's mean is finite");
  for (const double value : values) observed += value, size += std::abs(value);
  const double limit = observed + 1e-12 * size;  // a sum in another order may round apart
  const bool exact = values.size() <= kMostExact;
  const std::uint64_t all = exact ? std::uint64_t{1} << values.size() : kDraws;
  Indices random(seed);
  std::uint64_t low = 0;
  for (std::uint64_t draw = 0; draw < all; ++draw) {
    double sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i)
      sum += (exact ? draw >> i & 1 : random.below(2)) != 0 ? -values[i] : values[i];
    low += sum <= limit;
  }
  return exact ? static_cast<double>(low) / static_cast<double>(all)
               : static_cast<double>(low + 1) / static_cast<double>(all + 1);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

std::optional<double> standard_deviation(const std::vector<double>& values) {
  if (values.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return finite(std::sqrt(squares / (n - 1)));
}

BookMean mean_over_books(const std::vector<double>& values, std::uint64_t seed) {
  BookMean out = means_at_once({values}, seed).front();
  if (values.size() >= kFewestForSignFlip && values.size() < kFewestForBootstrap) {
    out.method = "sign-flip";
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double margin = *most - *least;
    out.low = sign_flip_end(values, out.mean, *least - margin);
    out.high = sign_flip_end(values, out.mean, *most + margin);
    out.p = sign_flip_p(values, 0);
  }
  if (out.method == "none") out.values = values;
  return out;
}

std::vector<BookMean> means_at_once(const std::vector<std::vector<double>>& values, std::uint64_t seed) {
  std::vector<BookMean> means;
  for (const std::vector<double>& of_one : values) {
    if (of_one.empty()) throw Error(Exit::bad_input, "mean over books: got no book, wanted at least one");
    TEMPLORA_CHECK(of_one.size() == values.front().size(), "all on the same books");
    means.push_back({mean_of(of_one), {}, {}, static_cast<std::int64_t>(of_one.size()), "none", {}, {}});
  }
  if (!values.empty() && values.front().size() >= kFewestForBootstrap) bootstrap_t(values, seed, means);
  return means;
}

BlockMean mean_within_book(const std::vector<ChunkSum>& chunks) {
  if (chunks.empty()) throw Error(Exit::bad_input, "mean within a book: got no chunk, wanted at least one");
  const auto count = static_cast<std::int64_t>(chunks.size());
  double sum = 0, tokens = 0;
  for (const ChunkSum& chunk : chunks) sum += chunk.sum, tokens += static_cast<double>(chunk.tokens);
  BlockMean out{sum / tokens, {}, {}, count, 0};
  const std::int64_t length = std::max(kFewestBlockChunks, count / kMostBlocks);
  const std::int64_t side_by_side = count / length;
  if (side_by_side < kFewestBlocks) return out;
  // A block's deviation is that of its sum from what the mean predicts for its tokens, so that a short chunk weighs
  // little.
  double block = 0, squares = 0;
  const auto off = [&](std::int64_t c) {
    const ChunkSum& chunk = chunks[static_cast<std::size_t>(c)];
    return chunk.sum - out.mean * static_cast<double>(chunk.tokens);
  };
  for (std::int64_t c = 0; c < count; ++c) {
    block += off(c);
    if (c >= length) block -= off(c - length);
    if (c >= length - 1) squares += block * block;
  }
  const auto blocks = static_cast<double>(count - length + 1), n = static_cast<double>(count),
             l = static_cast<double>(length);
  // Variance of a block's sum is l times that of the long run; blocks centred at their own mean lose l / n of it.
  const double long_run = squares / blocks / l / (1 - l / n);
  const double error = std::sqrt(long_run * n) / tokens;
  const double reach = student_t(side_by_side - 1) * error;
  out.low = out.mean - reach;
  out.high = out.mean + reach;
  out.block_chunks = length;
  return out;
}

}  // namespace templora
