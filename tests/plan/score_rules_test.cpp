#include "plan/score_rules.h"

#include "catch.h"
#include "core/error.h"

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

TEST_CASE("ScoreRules: steps follow what the context is worth to a chunk, within bounds, and a state brings them back",
          "[unit]") {
  Config config;
  config.train.epochs = 2;
  config.train.steps_by_gap = true;
  config.train.gap_context_tokens = 4;
  ScoreRules rules(config);
  CHECK(rules.ask());
  CHECK_FALSE(rules.further_window({4, 8}, 4));  // it would see the same
  CHECK(rules.further_window({20, 8}, 20) == Window{16, 12, 8});
  const auto chunk = [](std::optional<double> nll, std::optional<double> short_context) {
    ChunkRecord record;
    record.lora_nll = nll;
    record.short_context_nll = short_context;
    return record;
  };
  // Gaps: none, 1, 3, 0.1, -1, 8 with means 1, 2, 4.1 / 3, 3.1 / 4, 11.1 / 5.
  for (const auto& [nll, behind_less] : std::vector<std::pair<double, std::optional<double>>>{
           {3, std::nullopt}, {3, 4}, {3, 6}, {3, 3.1}, {3, 2}, {3, 11}})
    rules.add(chunk(nll, behind_less));
  const auto steps = [&](const ScoreRules& of) {
    std::vector<std::int64_t> all;
    for (std::int64_t c = 0; c < 6; ++c) all.push_back(of.steps(c));
    return all;
  };
  CHECK(steps(rules) == std::vector<std::int64_t>{2, 2, 3, 1, 1, 7});
  rules.add(chunk(3, 300));  // 2 · 297 / (308.1 / 6) = 11.6, no more than 4 · 2
  CHECK(rules.steps(6) == 8);
  Json state;
  rules.save(state);
  ScoreRules resumed(config);
  resumed.restore(state, 7, "state");
  CHECK(steps(resumed) == steps(rules));
  CHECK_THROWS_AS(resumed.restore(state, 6, "state"), Error);
  CHECK(rules.expected_steps(3) == 2);
}

TEST_CASE("ScoreRules: contexts that do not help leave the steps as they are", "[unit]") {
  Config config;
  config.train.steps_by_gap = true;
  ScoreRules rules(config);
  for (int i = 0; i < 3; ++i) {
    ChunkRecord record;
    record.lora_nll = 3;
    record.short_context_nll = 2.5;
    rules.add(record);
  }
  CHECK(rules.steps(2) == config.train.epochs);
}
