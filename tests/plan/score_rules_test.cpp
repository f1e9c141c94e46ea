#include "plan/score_rules.h"

#include "catch.h"

using namespace templora;

TEST_CASE("is_hard: a chunk is measured against the chunks before it alone", "[unit]") {
  const std::vector<std::optional<double>> means{3, 1, 2, 4, 2, 0.5};
  CHECK(is_hard(means, 4, 0.5, 1));        // 2 of {1, 2, 3, 4}: at the median
  CHECK_FALSE(is_hard(means, 4, 0.51, 1));  // the third of four is 3
  CHECK(is_hard(means, 3, 0.999, 1));      // above all
  CHECK_FALSE(is_hard(means, 5, 0.001, 1));  // below all
  CHECK_FALSE(is_hard(means, 1, 0.5, 1));
}

TEST_CASE("is_hard: what cannot be judged yet is learnt", "[unit]") {
  const std::vector<std::optional<double>> means{std::nullopt, 9, 1, std::nullopt, 1};
  CHECK(is_hard(means, 0, 0.9, 1));
  CHECK(is_hard(means, 2, 0.9, 2));  // one earlier value, where two are wanted
  CHECK(is_hard(means, 3, 0.9, 1));  // no value of its own
  CHECK_FALSE(is_hard(means, 4, 0.9, 2));
}
