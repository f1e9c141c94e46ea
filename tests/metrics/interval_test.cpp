#include "metrics/interval.h"

#include <cmath>
#include <random>

#include "catch.h"
#include "core/error.h"

using namespace templora;

TEST_CASE("mean_over_books: too few books have a mean and no interval", "[unit]") {
  const BookMean mean = mean_over_books({1.0, 2.0, 6.0});
  CHECK(mean.mean == Approx(3.0));
  CHECK_FALSE(mean.low);
  CHECK(mean.method == "none");
  CHECK_THROWS_AS(mean_over_books({}), Error);
}

TEST_CASE("mean_over_books: at six books the sign-flip interval ends where the test turns", "[unit]") {
  // With 6 books the smallest two-sided p is 2 / 64: only centres beyond all values are rejected at 5 %.
  const BookMean mean = mean_over_books({1.0, 2.0, 3.0, 4.0, 5.0, 6.0});
  CHECK(mean.method == "sign-flip");
  CHECK(*mean.low == Approx(1.0).margin(1e-6));
  CHECK(*mean.high == Approx(6.0).margin(1e-6));
}

TEST_CASE("mean_over_books: intervals hold the true mean about as often as they say", "[unit]") {
  for (const int books : {7, 8, 12, 20}) {
    std::mt19937_64 random(std::uint64_t(7 + books));
    std::normal_distribution<double> value(-3.0, 2.0);
    int held = 0;
    constexpr int kDraws = 200;
    for (int draw = 0; draw < kDraws; ++draw) {
      std::vector<double> values;
      for (int i = 0; i < books; ++i) values.push_back(value(random));
      const BookMean mean = mean_over_books(values, std::uint64_t(draw));
      REQUIRE(*mean.low <= mean.mean);
      REQUIRE(*mean.high >= mean.mean);
      held += *mean.low <= -3.0 && -3.0 <= *mean.high;
    }
    INFO("books " << books);
    CHECK(held > 0.88 * kDraws);
    CHECK(held < kDraws);
  }
}

TEST_CASE("mean_over_books: the same seed gives the same interval", "[unit]") {
  const std::vector<double> values{0.1, -0.3, 0.5, 0.2, 0.9, -0.1, 0.3, 0.4, 0.6};
  CHECK(*mean_over_books(values, 3).low == *mean_over_books(values, 3).low);
  CHECK(*mean_over_books(values, 3).low != *mean_over_books(values, 4).low);
}
