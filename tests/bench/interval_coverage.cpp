// How often the 95 % intervals over books, and within a book, hold a known effect: docs/statistics.md.

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "metrics/interval.h"

namespace {

using namespace templora;

constexpr double kEffect = -0.05;  // nats, what an interval has to hold
constexpr double kSpread = 0.02;   // between books
constexpr std::uint64_t kBlockSeed = 1u << 20;

using Random = std::mt19937_64;

double normal(Random& random) { return std::normal_distribution<double>()(random); }

/// One book's difference of mean NLL. Every design has mean kEffect.
struct Design {
  const char* name;
  std::function<double(Random&)> book;
};

const std::vector<Design> kDesigns{
    {"normal", [](Random& r) { return kEffect + kSpread * normal(r); }},
    // A gamma distribution of shape 4, skewness 1, the long tail on the side of the larger gain.
    {"skewed",
     [](Random& r) { return kEffect - kSpread * (std::gamma_distribution<double>(4.0, 1.0)(r) - 4.0) / 2.0; }},
    // Books of 30,000 to 300,000 tokens: one common spread between books, and a second one that shrinks with length.
    {"heteroscedastic",
     [](Random& r) {
       const double length = std::exp(std::uniform_real_distribution<double>(0, std::log(10.0))(r));
       return kEffect + kSpread * normal(r) * std::sqrt(0.25 + 1.5 / length);
     }},
    // Most books alike, one in ten of another genre with three times the spread.
    {"outliers", [](Random& r) { return kEffect + kSpread * normal(r) * (r() % 10 == 0 ? 3 : 1); }},
    // Log-normal, sigma 0.5 (skewness 1.75), the long tail on the side of the larger gain.
    {"log-normal", [](Random& r) {
       constexpr double sigma = 0.5;
       const double mean = std::exp(0.5 * sigma * sigma), deviation = mean * std::sqrt(std::exp(sigma * sigma) - 1);
       return kEffect - kSpread * (std::exp(sigma * normal(r)) - mean) / deviation;
     }}};

double coverage_over_books(const Design& design, std::size_t books, int draws) {
  Random random(books * 1000003 + std::string(design.name).size());
  int held = 0;
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<double> values;
    for (std::size_t i = 0; i < books; ++i) values.push_back(design.book(random));
    const BookMean mean = mean_over_books(values, std::uint64_t(draw) + 1);
    held += *mean.low <= kEffect && kEffect <= *mean.high;
  }
  return 100.0 * held / draws;
}

/// Chunks whose differences follow one another with correlation `rho`.
double coverage_within(double rho, int chunks, int draws) {
  Random random(kBlockSeed + std::uint64_t(chunks) + std::uint64_t(100 * rho));
  int held = 0;
  for (int draw = 0; draw < draws; ++draw) {
    std::vector<ChunkSum> sums;
    double state = normal(random);
    for (int c = 0; c < chunks; ++c) {
      sums.push_back({1024 * (kEffect + kSpread * state), 1024});
      state = rho * state + std::sqrt(1 - rho * rho) * normal(random);
    }
    const BlockMean mean = mean_within_book(sums);
    held += *mean.low <= kEffect && kEffect <= *mean.high;
  }
  return 100.0 * held / draws;
}

}  // namespace

int main(int argc, char** argv) {
  const int draws = argc > 1 ? std::atoi(argv[1]) : 2000;
  fmt::print("{} draws a cell; percent of the 95 % intervals that hold the effect\n\n| books | method |", draws);
  for (const Design& design : kDesigns) fmt::print(" {} |", design.name);
  fmt::print("\n| ---: | --- | ---: | ---: | ---: | ---: | ---: |\n");
  for (const std::size_t books : {6, 7, 8, 10, 12, 20, 40}) {
    fmt::print("| {} | {} |", books, mean_over_books(std::vector<double>(books, 1.0)).method);
    for (const Design& design : kDesigns)
      fmt::print(" {:.1f} |", coverage_over_books(design, books, draws)), std::fflush(stdout);
    fmt::print("\n");
  }
  fmt::print("\n| chunks of one book | rho 0 | rho 0.3 | rho 0.5 | rho 0.8 |\n| ---: | ---: | ---: | ---: | ---: |\n");
  for (const int chunks : {64, 128, 256, 512}) {
    fmt::print("| {} |", chunks);
    for (const double rho : {0.0, 0.3, 0.5, 0.8}) fmt::print(" {:.1f} |", coverage_within(rho, chunks, draws));
    fmt::print("\n");
  }
}
