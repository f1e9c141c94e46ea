#include "train/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>

#include <cmath>
#include <random>
#include <vector>

#include "catch.h"
#include "flat_values.h"

using namespace templora;
using namespace templora::flat;

namespace {

/// Algorithm 2 of Loshchilov and Hutter 2019, line by line, in doubles; the decay's factor is the learning rate, as in
/// torch. Before each step the weights go a share of the way back to the first ones.
struct Textbook {
  Values theta, first, m, v;
  int t = 0;
  explicit Textbook(const Values& start) : theta(start), first(start), m(start.size()), v(start.size()) {}
  double step(Values gradient, double rate, const AdamOptions& o) {
    ++t;
    double norm = 0;
    for (const double g : gradient) norm += g * g;
    norm = std::sqrt(norm);
    const double share = o.clip_norm > 0 ? std::min(1.0, o.clip_norm / (norm + 1e-6)) : 1.0;
    for (std::size_t i = 0; i < theta.size(); ++i) {
      const double g = gradient[i] * share;
      m[i] = o.beta1 * m[i] + (1 - o.beta1) * g;
      v[i] = o.beta2 * v[i] + (1 - o.beta2) * g * g;
      const double m_hat = m[i] / (1 - std::pow(o.beta1, t)), v_hat = v[i] / (1 - std::pow(o.beta2, t));
      theta[i] += o.decay_to_start * (first[i] - theta[i]);
      theta[i] = theta[i] - rate * o.weight_decay * theta[i] - rate * m_hat / (std::sqrt(v_hat) + o.eps);
    }
    return norm;
  }
};

const Values kStart{1, -2, 0.5, 0.25, -0.75, 3, 0, 10};

}  // namespace

TEST_CASE("AdamW: steps are the textbook's, computed here in doubles", "[unit]") {
  for (const AdamOptions& options :
       {AdamOptions{}, AdamOptions{.beta1 = 0.9, .beta2 = 0.95, .eps = 1e-7, .weight_decay = 0.1, .clip_norm = 0},
        AdamOptions{.beta1 = 0, .beta2 = 0.5, .eps = 1e-2, .weight_decay = 0, .clip_norm = 0.3},
        AdamOptions{.weight_decay = 0.1, .decay_to_start = 0.2}, AdamOptions{.decay_to_start = 1}}) {
    std::mt19937 generator(5);
    FlatParameters parameters = parameters_of(kStart);
    AdamW adam(parameters, options);
    Textbook book(kStart);
    for (int t = 1; t <= 25; ++t) {
      Values gradient(kStart.size());
      for (double& g : gradient) g = double(generator()) / double(std::mt19937::max()) - 0.5;
      gradient[6] = 0;  // a weight without a gradient
      set_gradient(parameters, gradient);
      const double rate = t == 3 ? 0 : 0.01 * t;
      const double norm = adam.step(rate).item<double>(), wanted = book.step(gradient, rate, options);
      INFO("weight decay " << options.weight_decay << " clip " << options.clip_norm << " step " << t);
      CHECK(norm == Approx(wanted).epsilon(1e-5));  // before clipping
      for (std::size_t i = 0; i < kStart.size(); ++i)
        CHECK(value(parameters, i) == Approx(book.theta[i]).epsilon(2e-5).margin(2e-5));
      CHECK(parameters.grad.abs().max().item<double>() == 0);
      CHECK(adam.steps.item<double>() == t);
    }
  }
}

TEST_CASE("AdamW: a first step goes as far as the learning rate, whatever the gradient's size", "[unit]") {
  FlatParameters parameters = parameters_of({1, 1, 1});
  AdamW adam(parameters, {});
  set_gradient(parameters, {1e-3, -5, 1e4});
  adam.step(0.125);
  CHECK(value(parameters, 0) == Approx(0.875).epsilon(1e-4));
  CHECK(value(parameters, 1) == Approx(1.125).epsilon(1e-4));
  CHECK(value(parameters, 2) == Approx(0.875).epsilon(1e-4));
}

TEST_CASE("AdamW: after a reset it steps as a new one", "[unit]") {
  FlatParameters a = parameters_of(kStart), b = parameters_of(kStart);
  AdamW used(a, {.weight_decay = 0.1}), fresh(b, {.weight_decay = 0.1});
  set_gradient(a, Values(kStart.size(), 0.7));
  used.step(0.1);
  used.reset();
  const at::NoGradGuard no_grad;
  a.value.copy_(b.value);
  for (int t = 0; t < 3; ++t) {
    for (FlatParameters* p : {&a, &b}) set_gradient(*p, Values(kStart.size(), 0.1 * (t + 1)));
    used.step(0.1);
    fresh.step(0.1);
  }
  CHECK(at::equal(a.value, b.value));
  CHECK(at::equal(used.exp_avg_sq, fresh.exp_avg_sq));
}

TEST_CASE("AdamW: the first weights are part of its state where it is drawn back to them, and survive a reset",
          "[unit]") {
  FlatParameters parameters = parameters_of(kStart), plain = parameters_of(kStart);
  CHECK(AdamW(plain, {}).state().size() == 3);
  AdamW adam(parameters, {.decay_to_start = 1});
  const auto state = adam.state();
  REQUIRE(state.size() == 4);
  CHECK(state.back().first == "start");
  set_gradient(parameters, Values(kStart.size(), 0.7));
  adam.step(0.1);
  CHECK(value(parameters, 0) != Approx(kStart[0]));
  adam.reset();
  set_gradient(parameters, Values(kStart.size(), 0));
  adam.step(0);  // the whole way back, and no step
  for (std::size_t i = 0; i < kStart.size(); ++i) CHECK(value(parameters, i) == Approx(kStart[i]));
}
