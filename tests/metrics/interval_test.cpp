#include "metrics/interval.h"

#include <algorithm>
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
  CHECK(mean.values == std::vector<double>{1.0, 2.0, 6.0});
  CHECK_THROWS_AS(mean_over_books({}), Error);
}

TEST_CASE("sign_flip_p_below: exact on one side, by draws beyond twenty books", "[unit]") {
  CHECK(sign_flip_p_below({-1, -2, -3}) == 1.0 / 8);
  CHECK(sign_flip_p_below({1, 2, 3}) == 1);
  CHECK(sign_flip_p_below({-3, 1, 1}) == 4.0 / 8);  // sums of -5, -3, -3 and its own -1
  CHECK(sign_flip_p_below({0, 0}) == 1);
  CHECK(sign_flip_p_below({}) == 1);
  CHECK(sign_flip_p_below({-0.6, -0.5, 0.2, -0.4, -0.3, 0.1, -0.2}) == 7.0 / 128);  // counted apart, in Python
  std::vector<double> many;
  for (int i = 0; i < 24; ++i) many.push_back(i % 3 == 0 ? 1 : -1);
  const double p = sign_flip_p_below(many);  // exactly P(at most 8 of 24 heads) = 0.0758
  CHECK(std::abs(p - 0.0758) < 0.004);
  CHECK(p == sign_flip_p_below(many));
}

TEST_CASE("means_at_once: one setting has its own interval, more have wider ones that hold at once", "[unit]") {
  const std::vector<double> a{-0.05, -0.04, -0.07, -0.02, -0.06, -0.03, -0.05, -0.08, -0.01};
  std::vector<double> b, noise{0.03, -0.02, 0.05, -0.04, 0.01, 0.02, -0.03, 0.04, -0.05};
  for (std::size_t i = 0; i < a.size(); ++i) b.push_back(a[i] - 0.01);
  const BookMean alone = mean_over_books(a);
  const std::vector<BookMean> same = means_at_once({a});
  CHECK(same[0].low == alone.low);
  CHECK(same[0].high == alone.high);
  // A setting that differs by a constant has the same t: nothing is chosen among.
  const std::vector<BookMean> shifted = means_at_once({a, b});
  CHECK(*shifted[0].low == Approx(*alone.low));
  CHECK(*shifted[1].low == Approx(*alone.low - 0.01));
  // One that varies otherwise widens both by the same factor.
  const std::vector<BookMean> joint = means_at_once({a, noise});
  const BookMean other = mean_over_books(noise);
  const double wider = (*joint[0].high - joint[0].mean) / (*alone.high - alone.mean);
  CHECK(wider > 1.05);
  CHECK(joint[0].mean == alone.mean);
  CHECK((*joint[1].high - joint[1].mean) / (*other.high - other.mean) > 1);
  // What varies not at all chooses nothing, and few books have no interval.
  const std::vector<BookMean> constant = means_at_once({a, std::vector<double>(a.size(), 0.25)});
  CHECK(*constant[0].low == Approx(*alone.low));
  CHECK(constant[1].low == 0.25);
  CHECK_FALSE(means_at_once({{1, 2, 3}, {2, 3, 4}})[0].low);
  CHECK_THROWS(means_at_once({std::vector<double>()}));
}

TEST_CASE("means_at_once: the q of many independent settings is that of Bonferroni, nearly", "[unit]") {
  // 20 settings of 40 books, all normal: the largest of 20 |t| with 39 degrees of freedom exceeds 3.25 in 5 % (Sidak
  // 3.24, Bonferroni 3.25), where one exceeds 2.02.
  std::vector<std::vector<double>> values(20, std::vector<double>(40));
  std::uint64_t state = 7;
  for (auto& setting : values)
    for (double& value : setting) {
      value = -6;
      for (int i = 0; i < 12; ++i) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        value += static_cast<double>(state >> 11) * 0x1p-53;
      }
    }
  const BookMean joint = means_at_once(values)[3], alone = mean_over_books(values[3]);
  CHECK((*joint.high - joint.mean) / (*alone.high - alone.mean) == Approx(3.24 / 2.02).epsilon(0.08));
}

TEST_CASE("holm: steps down, never below an earlier one, in the order given", "[unit]") {
  const std::vector<double> got = holm({0.01, 0.04, 0.03, 0.005}), wanted{0.03, 0.06, 0.06, 0.02};
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::abs(got[i] - wanted[i]) < 1e-12);
  CHECK(holm({0.9, 0.8}) == std::vector<double>{1, 1});
  CHECK(holm({}).empty());
}

TEST_CASE("mean_over_books: at six books the sign-flip interval ends where the test turns", "[unit]") {
  // With 6 books the smallest two-sided p is 2 / 64: only centres beyond all values are rejected at 5 %.
  const BookMean mean = mean_over_books({1.0, 2.0, 3.0, 4.0, 5.0, 6.0});
  CHECK(mean.method == "sign-flip");
  CHECK(*mean.low == Approx(1.0).margin(1e-6));
  CHECK(*mean.high == Approx(6.0).margin(1e-6));
  CHECK(*mean.p == Approx(2.0 / 64));
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
    CHECK(held >= 0.915 * kDraws);  // 95 %, less more than two standard errors of 200 draws
    CHECK(held < kDraws);
  }
}

TEST_CASE("mean_over_books: where all books but one or two are equal there is no interval", "[unit]") {
  for (const std::vector<double>& values : {std::vector<double>{0, 0, 0, 0, 0, 0, 0, -.1}, {0, 0, 0, 0, 0, 0, -.1, -.2},
                                            {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -.1, -.2}}) {
    const BookMean mean = mean_over_books(values);
    CHECK(mean.method == "none");
    CHECK((!mean.low && !mean.high));
    CHECK(mean.values == values);
  }
  const BookMean equal = mean_over_books(std::vector<double>(8, 0.5));
  CHECK((equal.method == "bootstrap-t" && *equal.low == 0.5 && *equal.high == 0.5));
}

TEST_CASE("mean_over_books: the same seed gives the same interval", "[unit]") {
  const std::vector<double> values{0.1, -0.3, 0.5, 0.2, 0.9, -0.1, 0.3, 0.4, 0.6};
  CHECK(*mean_over_books(values, 3).low == *mean_over_books(values, 3).low);
  CHECK(*mean_over_books(values, 3).low != *mean_over_books(values, 4).low);
}

TEST_CASE("mean_within_book: fewer than four blocks of sixteen chunks have no interval", "[unit]") {
  const BlockMean few = mean_within_book(std::vector<ChunkSum>(63, {2.0, 4}));
  CHECK(few.mean == Approx(0.5));
  CHECK_FALSE(few.low);
  CHECK(mean_within_book(std::vector<ChunkSum>(64, {2.0, 4})).low);
  CHECK_THROWS_AS(mean_within_book({}), Error);
}

TEST_CASE("mean_within_book: neighbours that are alike widen the interval", "[unit]") {
  std::mt19937_64 random(5);
  std::normal_distribution<double> value;
  std::vector<ChunkSum> alike;
  for (int c = 0; c < 256; ++c) alike.push_back({c % 8 == 0 ? value(random) : alike.back().sum, 1});
  std::vector<ChunkSum> mixed = alike;
  std::shuffle(mixed.begin(), mixed.end(), random);
  const BlockMean wide = mean_within_book(alike), narrow = mean_within_book(mixed);
  CHECK(wide.block_chunks == 32);
  CHECK(wide.mean == Approx(narrow.mean));
  CHECK(*wide.high - *wide.low > 1.5 * (*narrow.high - *narrow.low));
}

TEST_CASE("mean_within_book: a chunk weighs as its tokens do", "[unit]") {
  std::vector<ChunkSum> chunks(64, {100.0, 100});
  chunks.push_back({50.0, 1});
  CHECK(mean_within_book(chunks).mean == Approx(6450.0 / 6401));
}
