#include "metrics/text_statistics.h"

#include <cmath>

#include "catch.h"

using namespace templora;

TEST_CASE("RepetitionCounter: a 4-gram counts as repeated from its second time on, across chunks", "[unit]") {
  RepetitionCounter counter;
  counter.add_context(std::vector<std::int64_t>{1, 2, 3, 4, 5});
  // The 4-grams that end in this chunk are 3 4 5 1, 4 5 1 2, 5 1 2 3, 1 2 3 4 (repeated).
  const TextStatistics first = counter.add_chunk(std::vector<std::int64_t>{1, 2, 3, 4});
  CHECK(first.repeated_4grams == Approx(0.25));
  CHECK(first.distinct[0] == 1);
  const TextStatistics second = counter.add_chunk(std::vector<std::int64_t>{5, 1, 2, 3});  // all four were there
  CHECK(second.repeated_4grams == 1);
}

TEST_CASE("RepetitionCounter: distinct shares are per chunk", "[unit]") {
  RepetitionCounter counter;
  const TextStatistics s = counter.add_chunk(std::vector<std::int64_t>{7, 7, 7, 7, 7, 8});
  CHECK(s.distinct[0] == Approx(2.0 / 6));
  CHECK(s.distinct[1] == Approx(2.0 / 5));
  CHECK(s.distinct[2] == Approx(2.0 / 4));
  CHECK(s.distinct[3] == Approx(2.0 / 3));
  CHECK(s.repeated_4grams == Approx(1.0 / 3));
}

TEST_CASE("RepetitionCounter: fewer tokens than a gram has give no rates and no NaN", "[unit]") {
  RepetitionCounter counter;
  const TextStatistics s = counter.add_chunk(std::vector<std::int64_t>{7, 8});
  CHECK(s.repeated_4grams == 0);
  CHECK(s.distinct[3] == 1);
}
