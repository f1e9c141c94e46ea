#include "experiment/neural_cache.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include <cmath>

#include "catch.h"

using namespace templora;

namespace {

struct Stream {
  at::Tensor states, tokens;  // [count, hidden], [count]
};

Stream made_stream(std::int64_t count, std::int64_t hidden, std::int64_t vocab) {
  at::Generator generator = at::detail::createCPUGenerator(7);
  return {at::randn({count, hidden}, generator, at::TensorOptions(at::kFloat)),
          at::randint(vocab, {count}, generator, at::TensorOptions(at::kLong))};
}

/// The definition, one token at a time: `first` is the chunk's first state.
double probability(const Stream& s, const NeuralCacheConfig& config, std::int64_t first, std::int64_t t) {
  const auto unit = [&](std::int64_t i) {
    const at::Tensor state = s.states[i].to(at::kDouble);
    return state / state.norm();
  };
  double sum = 0, same = 0;
  for (std::int64_t i = std::max<std::int64_t>(0, first - config.entries); i < t; ++i) {
    const double weight = std::exp(config.theta * 100 * unit(i).dot(unit(t)).item<double>());
    sum += weight;
    if (s.tokens[i].item<std::int64_t>() == s.tokens[t].item<std::int64_t>()) same += weight;
  }
  return sum > 0 ? same / sum : 0;
}

std::vector<float> floats(const at::Tensor& values) {
  return {values.const_data_ptr<float>(), values.const_data_ptr<float>() + values.numel()};
}

}  // namespace

TEST_CASE("NeuralCache: probabilities are those of the definition, whatever the chunks", "[unit]") {
  const Stream s = made_stream(60, 16, 5);
  NeuralCacheConfig config;
  config.entries = 25;
  NeuralCache cache(config);
  std::int64_t first = 0;
  for (const std::int64_t count : {1, 12, 30, 17}) {
    const std::vector<float> got =
        floats(cache.look_up(s.states.narrow(0, first, count), s.tokens.narrow(0, first, count)));
    for (std::int64_t i = 0; i < count; ++i) {
      INFO("token " << first + i);
      CHECK(std::abs(got[std::size_t(i)] - probability(s, config, first, first + i)) <= 1e-5);
    }
    first += count;
  }
}

TEST_CASE("NeuralCache: the share starts at a tenth and moves to what is right, each arm's own", "[unit]") {
  NeuralCacheConfig config;
  config.entries = 10;
  config.learning_rate = 0.5;
  NeuralCache cache(config);
  const std::vector<float> nll(200, float(-std::log(0.2)));
  const std::vector<float> good = cache.mixed(Arm::base_cache, nll, std::vector<float>(200, 0.9f)),
                           bad = cache.mixed(Arm::lora_cache, nll, std::vector<float>(200, 0.0f));
  CHECK(std::abs(good[0] + std::log(0.9 * 0.2 + 0.1 * 0.9)) <= 1e-6);
  CHECK(std::abs(bad[0] + std::log(0.9 * 0.2)) <= 1e-6);
  CHECK(std::exp(-good.back()) > 0.85);
  CHECK(std::exp(-bad.back()) > 0.195);
  for (std::size_t i = 1; i < good.size(); ++i) CHECK((good[i] < good[i - 1] && bad[i] < bad[i - 1]));
}

TEST_CASE("NeuralCache: it goes on bit for bit from a saved state, and refuses one that does not fit", "[unit]") {
  const Stream s = made_stream(40, 16, 5);
  NeuralCacheConfig config;
  config.entries = 15;
  NeuralCache whole(config);
  const auto step = [&](NeuralCache& cache, std::int64_t first) {
    const auto cached = floats(cache.look_up(s.states.narrow(0, first, 20), s.tokens.narrow(0, first, 20)));
    return cache.mixed(Arm::base_cache, std::vector<float>(20, 1.5f), cached);
  };
  step(whole, 0);
  const Json state = Json::parse(whole.state().dump());
  const auto tensors = whole.tensors();
  const auto stored = [&](const std::string& name) {
    for (const auto& [key, tensor] : tensors)
      if (key == name) return tensor.clone();
    return at::Tensor();
  };
  NeuralCache again(config);
  again.restore(state, stored);
  CHECK(step(again, 20) == step(whole, 20));
  config.entries = 14;
  NeuralCache smaller(config);
  CHECK_THROWS_WITH(smaller.restore(state, stored), Catch::Matchers::Contains("neural_cache"));
}
