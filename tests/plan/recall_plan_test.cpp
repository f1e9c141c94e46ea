#include "plan/recall_plan.h"

#include "catch.h"

using namespace templora;

namespace {

Config asked_after(std::vector<std::int64_t> distances) {
  Config config;
  config.window.context_tokens = 100;
  config.recall.facts = 24;
  config.recall.ask_after_tokens = std::move(distances);
  return config;
}

}  // namespace

TEST_CASE("RecallPlan: a fact is asked for at the first chunk's end that is far enough behind it", "[unit]") {
  const Config config = asked_after({0, 50, 300});
  const std::vector<Chunk> chunks = cut_chunks(500, 50, 50);
  const RecallPlan plan(config, chunks, {20, 101, -1});
  // Fact 0 leaves the last 100 tokens at 120: chunk 2 ends at 150.
  CHECK(plan.after(1).empty());
  CHECK(plan.after(2) == std::vector<AskedFact>{{0, 0, 30}});
  CHECK(plan.after(3) == std::vector<AskedFact>{{0, 50, 80}});
  // Fact 1 leaves at 201, which is behind chunk 3's end.
  CHECK(plan.after(4) == std::vector<AskedFact>{{1, 0, 49}});
  CHECK(plan.after(5) == std::vector<AskedFact>{{1, 50, 99}});
  CHECK(plan.after(8) == std::vector<AskedFact>{{0, 300, 330}});
  CHECK(plan.asked(0) == 2);
  CHECK(plan.asked(50) == 2);
  CHECK(plan.asked(300) == 1);  // the book ends at 500: fact 1 is never that far
}

TEST_CASE("RecallPlan: what is asked for has left the window", "[unit]") {
  const Config config = asked_after({0, 7});
  std::vector<std::int64_t> ends;
  for (std::int64_t end = 1; end < 560; end += 13) ends.push_back(end);
  const std::vector<Chunk> chunks = cut_chunks(700, 33, 20);
  const RecallPlan plan(config, chunks, ends);
  std::int64_t asked = 0;
  for (std::size_t c = 0; c < chunks.size(); ++c)
    for (const AskedFact& fact : plan.after(std::int64_t(c))) {
      const std::int64_t window_begins = chunks[c].end() - 100;
      CHECK(ends[fact.fact] <= window_begins);
      CHECK(fact.tokens_since == window_begins - ends[fact.fact]);
      CHECK(fact.tokens_since >= fact.distance_tokens);
      CHECK(fact.tokens_since < fact.distance_tokens + 33);
      ++asked;
    }
  CHECK(asked == 2 * std::int64_t(ends.size()));
}
