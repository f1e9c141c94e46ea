#include "train/dynamic_evaluation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "catch.h"
#include "flat_values.h"
#include "train/optimizer.h"

using namespace templora;
using namespace templora::flat;

namespace {

Values random_gradient(std::mt19937& generator, std::size_t count) {
  Values gradient(count);
  for (double& g : gradient) g = double(generator()) / double(std::mt19937::max()) - 0.5;
  return gradient;
}

}  // namespace

TEST_CASE("DynamicEvaluation: without scaling, a constant gradient is balanced by the way back", "[unit]") {
  // θ_n = θ₀ - η g (1 - (1 - λ)^n) / λ
  const Values start{1, -2, 0.5}, gradient{0.3, -0.1, 0};
  FlatParameters parameters = parameters_of(start);
  DynamicEvaluation rule(parameters, {.scaled = false, .decay_to_start = 0.1});
  for (int n = 1; n <= 40; ++n) {
    set_gradient(parameters, gradient);
    rule.step(0.2);
    for (std::size_t i = 0; i < start.size(); ++i)
      CHECK(value(parameters, i) == Approx(start[i] - 0.2 * gradient[i] * (1 - std::pow(0.9, n)) / 0.1).margin(1e-5));
  }
  CHECK(parameters.grad.abs().sum().item<double>() == 0);
}

TEST_CASE("DynamicEvaluation: a scaled step is Krause et al.'s, computed here in doubles", "[unit]") {
  std::mt19937 generator(5);
  const Values start{1, -2, 0.5, 0.25, -0.75, 3};
  const double rate = 0.01, decay = 0.4, eps = 1e-3;  // so much decay that some shares are cut to 1
  FlatParameters parameters = parameters_of(start);
  DynamicEvaluation rule(parameters, {.scaled = true, .eps = eps, .decay_to_start = decay});
  Values wanted = start, squares(start.size(), 0);
  bool cut = false;
  for (int t = 1; t <= 12; ++t) {
    Values gradient = random_gradient(generator, start.size());
    gradient[2] *= 20;
    set_gradient(parameters, gradient);
    rule.step(rate);
    double mean = 0;
    for (std::size_t i = 0; i < start.size(); ++i) {
      squares[i] += gradient[i] * gradient[i];
      mean += std::sqrt(squares[i] / t) / double(start.size());
    }
    for (std::size_t i = 0; i < start.size(); ++i) {
      const double root = std::sqrt(squares[i] / t), back = std::min(decay * root / mean, 1.0);
      cut = cut || back == 1.0;
      wanted[i] += back * (start[i] - wanted[i]) - rate * gradient[i] / (root + eps);
      CHECK(value(parameters, i) == Approx(wanted[i]).margin(1e-5));
    }
  }
  CHECK(cut);
}

TEST_CASE("DynamicEvaluation: where no gradient ever was, nothing moves", "[unit]") {
  FlatParameters parameters = parameters_of({1, 2});
  DynamicEvaluation rule(parameters, {.scaled = true, .decay_to_start = 0.5});
  rule.step(0.1);
  CHECK(value(parameters, 0) == 1);
  CHECK(value(parameters, 1) == 2);
}

TEST_CASE("DynamicEvaluation: the gradient is clipped, its norm before is given", "[unit]") {
  FlatParameters parameters = parameters_of({0, 0});
  DynamicEvaluation rule(parameters, {.scaled = false, .clip_norm = 1});
  set_gradient(parameters, {3, 4});
  CHECK(rule.step(1.0).item<double>() == Approx(5));
  CHECK(value(parameters, 0) == Approx(-0.6));
  CHECK(value(parameters, 1) == Approx(-0.8));
}

TEST_CASE("DynamicEvaluation: a reset forgets the statistics and keeps the starting point", "[unit]") {
  FlatParameters parameters = parameters_of({1, 2});
  DynamicEvaluation rule(parameters, {.scaled = true, .decay_to_start = 0.1});
  set_gradient(parameters, {1, 1});
  rule.step(0.1);
  rule.reset();
  CHECK(rule.square_sum.abs().sum().item<double>() == 0);
  CHECK(rule.steps.item<double>() == 0);
  CHECK(rule.start[0].item<double>() == 1);
}

TEST_CASE("Optimizer: copied state goes on bit for bit, for every kind", "[unit]") {
  for (const OptimizerKind kind : {OptimizerKind::adamw, OptimizerKind::sgd, OptimizerKind::rms}) {
    TrainConfig config;
    config.optimizer = kind;
    if (kind != OptimizerKind::adamw) config.decay_to_start = 0.05;
    const Values start{1, -2, 0.5, 0.25};
    FlatParameters a = parameters_of(start), b = parameters_of({0, 0, 0, 0});  // what it starts from is state, too
    const auto first = make_optimizer(a, config), second = make_optimizer(b, config);
    std::mt19937 generator(9);
    const auto step = [&](Optimizer& optimizer, FlatParameters& parameters, const Values& gradient) {
      set_gradient(parameters, gradient);
      optimizer.step(0.01);
    };
    for (int i = 0; i < 3; ++i) step(*first, a, random_gradient(generator, 4));
    const auto from = first->state(), to = second->state();
    REQUIRE(from.size() == to.size());
    for (std::size_t i = 0; i < from.size(); ++i) {
      CHECK(from[i].first == to[i].first);
      const at::Tensor target = to[i].second;
      target.copy_(from[i].second);
    }
    b.value.copy_(a.value);
    for (int i = 0; i < 3; ++i) {
      const Values gradient = random_gradient(generator, 4);
      step(*first, a, gradient);
      step(*second, b, gradient);
    }
    INFO(int(kind));
    CHECK(at::equal(a.value, b.value));
    CHECK_FALSE(at::equal(a.value, parameters_of(start).value));
  }
}
