#include "config/layer_spec.h"

#include "catch.h"

using namespace templora;

TEST_CASE("what a query sees: one rule, counted and cut out alike", "[unit]") {
  for (const std::int64_t window : {std::int64_t{1}, std::int64_t{2}, std::int64_t{5}, std::int64_t{20}, kNoWindow})
    for (std::int64_t held = 0; held < 12; ++held) {
      std::int64_t pairs = 0;
      for (std::int64_t slot = held; slot < held + 9; ++slot) {
        std::int64_t seen = 0, first = -1;
        for (std::int64_t key = 0; key < 40; ++key)
          if (sees(slot, key, window)) {
            if (first < 0) first = key;
            ++seen;
          }
        CHECK(sees(slot, slot, window));
        CHECK(first == first_seen(slot, window));
        CHECK(seen == slot + 1 - first);
        CHECK(seen <= window);
        pairs += seen;
        CHECK(seen_pairs(slot - held + 1, held, window) == double(pairs));
      }
      CHECK(seen_pairs(0, held, window) == 0);
    }
}
