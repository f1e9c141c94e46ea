#include "core/recent_rate.h"

#include "catch.h"

using namespace templora;

TEST_CASE("RecentRate: forgets how fast it was before the last minute", "[unit]") {
  RecentRate rate;
  CHECK_FALSE(rate.per_second());
  double now_s = 0, done = 1000;  // work of an earlier process counts in no rate
  rate.add(now_s, done);
  CHECK_FALSE(rate.per_second());
  for (int i = 0; i < 300; ++i) rate.add(now_s += 1, done += 100);
  CHECK(rate.per_second().value() == Approx(100));
  for (int i = 0; i < 60; ++i) rate.add(now_s += 1, done += 10);  // a neighbour came
  CHECK(rate.per_second().value() == Approx(10));
}

TEST_CASE("RecentRate: steps longer than a minute are seen ten at a time", "[unit]") {
  RecentRate rate;
  double now_s = 0, done = 0;
  rate.add(now_s, done);
  for (int i = 0; i < 5; ++i) rate.add(now_s += 600, done += 600);
  for (int i = 0; i < 10; ++i) rate.add(now_s += 600, done += 1200);
  CHECK(rate.per_second().value() == Approx(2));
}

TEST_CASE("RecentRate: steps of a microsecond lose nothing and are not kept one by one", "[unit]") {
  RecentRate rate;
  rate.add(0, 0);
  for (int i = 1; i <= 1000000; ++i) rate.add(1e-6 * i, i);
  CHECK(rate.per_second().value() == Approx(1e6));
  CHECK_FALSE([] {
    RecentRate still;
    still.add(0, 5);
    still.add(10, 5);
    return still.per_second();
  }());
}
