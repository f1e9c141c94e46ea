#include "cost/run_seconds.h"

#include "catch.h"

using namespace templora;

namespace {

CostPrediction predicted(const std::map<std::string, Work>& phases, std::int64_t tokens) {
  CostPrediction cost;
  cost.phases = phases;
  cost.tokens = tokens;
  return cost;
}

}  // namespace

TEST_CASE("seconds_at: each phase goes at the rate that it was measured at", "[unit]") {
  RunCost part;
  part.tokens = 10;
  part.phases["score"] = {{100, 100, 50}, 2, {}};   // 100 FLOP/s
  part.phases["decode"] = {{100, 0, 50}, 10, {}};   // 10 FLOP/s
  part.phases["optimizer"] = {{0, 0, 40}, 4, {}};   // no FLOPs: 10 bytes/s
  part.phases["read"] = {{}, 3, {}};                // no work: by tokens
  CHECK(seconds_at(predicted({{"score", {1000, 0, 1}}}, 0), part) == Approx(10));
  CHECK(seconds_at(predicted({{"decode", {500, 500, 1}}}, 0), part) == Approx(100));
  CHECK(seconds_at(predicted({{"optimizer", {0, 0, 100}}}, 0), part) == Approx(10));
  CHECK(seconds_at(predicted({}, 100), part) == Approx(30));
  CHECK(seconds_at(predicted({{"score", {1000, 0, 1}}, {"decode", {500, 500, 1}}}, 100), part) == Approx(140));
}

TEST_CASE("seconds_at: what was not measured alone goes at the rate of all", "[unit]") {
  RunCost part;
  part.phases["write_and_train"] = {{200, 0, 10}, 4, {}};
  CHECK(seconds_at(predicted({{"decode", {100, 0, 1}}, {"train_forward", {100, 0, 1}}}, 5), part) == Approx(4));
  CHECK(seconds_at(predicted({{"decode", {100, 0, 1}}}, 5), RunCost()) == 0);
}

TEST_CASE("seconds_at: a whole that is the part takes the part's time", "[unit]") {
  RunCost part;
  part.tokens = 7;
  part.phases["score"] = {{100, 20, 50}, 2, {}};
  part.phases["optimizer"] = {{0, 0, 40}, 1, {}};
  part.phases["read"] = {{}, 0.5, {}};
  CHECK(seconds_at(predicted({{"score", {100, 20, 50}}, {"optimizer", {0, 0, 40}}}, 7), part) == Approx(3.5));
}
