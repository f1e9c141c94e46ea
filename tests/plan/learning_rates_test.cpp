#include "plan/learning_rates.h"

#include "catch.h"

using namespace templora;

namespace {

TrainConfig warming_up(std::optional<std::int64_t> chunks, std::optional<std::int64_t> steps, std::int64_t epochs = 2) {
  TrainConfig config;
  config.learning_rate = 0.5;
  config.epochs = epochs;
  config.warmup_chunks = chunks;
  config.warmup_steps = steps;
  return config;
}

using Rates = std::vector<double>;

}  // namespace

TEST_CASE("learning_rates: a warm-up in steps rises from the first step on, across chunks", "[unit]") {
  const TrainConfig config = warming_up({}, 5);
  CHECK(learning_rates(config, 0, 0, config.epochs) == Rates{0.5 * (1.0 / 5), 0.5 * (2.0 / 5)});
  CHECK(learning_rates(config, 1, 2, config.epochs) == Rates{0.5 * (3.0 / 5), 0.5 * (4.0 / 5)});
  CHECK(learning_rates(config, 2, 4, config.epochs) ==
        Rates{0.5, 0.5});  // the fifth step has the whole rate, and all after it
  CHECK(learning_rates(config, 0, 400, config.epochs) == Rates{0.5, 0.5});  // the chunk does not count
}

TEST_CASE("learning_rates: a warm-up in chunks is the released code's, which trains chunk 0 at nothing", "[unit]") {
  const TrainConfig config = warming_up(4, {}, 3);
  for (std::int64_t chunk = 0; chunk < 4; ++chunk) {
    const double rate = 0.5 * (double(chunk) / 4);
    CHECK(learning_rates(config, chunk, 77, config.epochs) == Rates{rate, rate, rate});  // the steps do not count
  }
  CHECK(learning_rates(config, 4, 0, config.epochs) == Rates{0.5, 0.5, 0.5});
  CHECK(learning_rates(config, 1000, 0, config.epochs) == Rates{0.5, 0.5, 0.5});
}

TEST_CASE("learning_rates: without a warm-up, or with one of nothing, every step has the whole rate", "[unit]") {
  for (const TrainConfig& config : {warming_up({}, {}, 1), warming_up(0, {}, 1), warming_up({}, 0, 1)})
    for (std::int64_t chunk = 0; chunk < 3; ++chunk)
      CHECK(learning_rates(config, chunk, chunk, config.epochs) == Rates{0.5});
}

TEST_CASE("learning_rates: a chunk that is worth more steps has a rate for each", "[unit]") {
  CHECK(learning_rates(warming_up({}, 5), 1, 1, 5) ==
        Rates{0.5 * (2.0 / 5), 0.5 * (3.0 / 5), 0.5 * (4.0 / 5), 0.5, 0.5});
}

TEST_CASE("learning_rates: sqrt falls by the chunk, learnt or not, and the warm-up stays", "[unit]") {
  TrainConfig config = warming_up({}, 0, 1);
  config.rate_decay = RateDecay::sqrt;
  CHECK(learning_rates(config, 0, 0, 1) == Rates{0.5});
  CHECK(learning_rates(config, 3, 0, 1)[0] == Approx(0.25));
  CHECK(learning_rates(config, {3, 0.1}, 99, 2)[1] == Approx(0.25));  // steps and what is left do not count
  TrainConfig warm = warming_up(4, {}, 1);
  warm.rate_decay = RateDecay::sqrt;
  CHECK(learning_rates(warm, 0, 0, 1) == Rates{0});
  CHECK(learning_rates(warm, 3, 0, 1)[0] == Approx(0.5 * 0.75 / 2));
  TrainConfig steps = warming_up({}, 4, 2);
  steps.rate_decay = RateDecay::sqrt;
  CHECK(learning_rates(steps, 3, 1, 2)[0] == Approx(0.5 * 0.5 / 2));
}

TEST_CASE("learning_rates: linear is the share of the text that is left", "[unit]") {
  TrainConfig config = warming_up({}, 0, 1);
  config.rate_decay = RateDecay::linear;
  CHECK(learning_rates(config, {0, 1}, 0, 1) == Rates{0.5});
  CHECK(learning_rates(config, {70, 0.25}, 0, 2) == Rates{0.125, 0.125});
  config.rate_decay = RateDecay::none;
  CHECK(learning_rates(config, {70, 0.25}, 0, 1) == Rates{0.5});
}

TEST_CASE("pretraining_rate: up to the whole rate, and half a cosine down to its smallest share", "[unit]") {
  PretrainConfig config;
  config.learning_rate = 0.8;
  config.warmup_steps = 4;
  config.min_learning_rate_share = 0.25;
  CHECK(pretraining_rate(config, 1, 24) == Approx(0.2));
  CHECK(pretraining_rate(config, 4, 24) == Approx(0.8));
  CHECK(pretraining_rate(config, 14, 24) == Approx(0.5));  // halfway down
  CHECK(pretraining_rate(config, 24, 24) == Approx(0.2));
}
