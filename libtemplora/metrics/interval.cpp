#include "metrics/interval.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "core/error.h"

namespace templora {
namespace {

constexpr std::size_t kFewestForBootstrap = 8, kFewestForSignFlip = 6;
constexpr int kResamples = 10000;
constexpr double kTail = 0.025;

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

void bootstrap_t(const std::vector<double>& values, std::uint64_t seed, BookMean& out) {
  const double error = standard_error(values);
  out.low = out.high = out.mean;
  if (!(error > 0)) return;
  std::mt19937_64 random(seed);
  std::vector<double> drawn(values.size()), t;
  for (int i = 0; i < kResamples; ++i) {
    for (double& value : drawn) value = values[random() % values.size()];
    const double drawn_error = standard_error(drawn);
    const double off = mean_of(drawn) - out.mean;
    // A resample of one book over and over has no error of its own: an infinite t on its side.
    if (drawn_error > 0)
      t.push_back(off / drawn_error);
    else if (off != 0)
      t.push_back(std::copysign(std::numeric_limits<double>::infinity(), off));
  }
  std::sort(t.begin(), t.end());
  const auto quantile = [&](double q) { return t[static_cast<std::size_t>(q * static_cast<double>(t.size() - 1) + 0.5)]; };
  out.low = out.mean - quantile(1 - kTail) * error;
  out.high = out.mean - quantile(kTail) * error;
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
    (sign_flip_p(values, middle) > 2 * kTail ? kept : rejected) = middle;
  }
  return kept;
}

}  // namespace

BookMean mean_over_books(const std::vector<double>& values, std::uint64_t seed) {
  if (values.empty()) throw Error(Exit::bad_input, "mean over books: got no book, wanted at least one");
  BookMean out{mean_of(values), {}, {}, static_cast<std::int64_t>(values.size()), "none"};
  if (values.size() >= kFewestForBootstrap) {
    out.method = "bootstrap-t";
    bootstrap_t(values, seed, out);
  } else if (values.size() >= kFewestForSignFlip) {
    out.method = "sign-flip";
    const auto [least, most] = std::minmax_element(values.begin(), values.end());
    const double margin = *most - *least;
    out.low = sign_flip_end(values, out.mean, *least - margin);
    out.high = sign_flip_end(values, out.mean, *most + margin);
  }
  return out;
}

}  // namespace templora
