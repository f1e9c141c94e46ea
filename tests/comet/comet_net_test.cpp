#include "comet/comet_net.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>

#include <cmath>
#include <numeric>

#include "catch.h"
#include "comet/weights.h"
#include "goldens.h"

using namespace templora;

TEST_CASE("layer_weights: softmax and sparsemax of known scalars", "[unit]") {
  const std::vector<double> soft = layer_weights({0.0, std::log(3.0)}, LayerTransformation::softmax);
  CHECK(soft[0] == Approx(0.25));
  CHECK(soft[1] == Approx(0.75));
  // Two values less than 1 apart share what their difference leaves.
  const std::vector<double> two = layer_weights({0.5, 0.1, -2.0}, LayerTransformation::sparsemax);
  CHECK(two[0] == Approx(0.7));
  CHECK(two[1] == Approx(0.3));
  CHECK(two[2] == 0.0);
  CHECK(layer_weights({4.0, 1.0, 0.0}, LayerTransformation::sparsemax) == std::vector<double>{1.0, 0.0, 0.0});
  for (const double weight : layer_weights({7.0, 7.0, 7.0, 7.0}, LayerTransformation::sparsemax))
    CHECK(weight == Approx(0.25));
}

TEST_CASE("layer_weights: both kinds are non-negative, sum to 1 and ignore a common shift", "[unit]") {
  for (int seed = 0; seed < 50; ++seed) {
    std::vector<double> scalars, shifted;
    for (int i = 0; i < 25; ++i) {
      scalars.push_back(std::sin(1.7 * seed + 3.1 * i * i));
      shifted.push_back(scalars.back() + 40.0);
    }
    for (const auto kind : {LayerTransformation::softmax, LayerTransformation::sparsemax}) {
      const std::vector<double> weights = layer_weights(scalars, kind), again = layer_weights(shifted, kind);
      CHECK(std::accumulate(weights.begin(), weights.end(), 0.0) == Approx(1.0));
      for (std::size_t i = 0; i < weights.size(); ++i) {
        CHECK(weights[i] >= 0.0);
        CHECK(weights[i] == Approx(again[i]).margin(1e-9));
      }
    }
  }
}

TEST_CASE("CometNet: padding does not reach a sentence's embedding", "[unit]") {
  CometNet net =
      load_comet_net(goldens::folder() / "model", read_comet_config(goldens::folder() / "model/config.json"), at::kCPU);
  const at::NoGradGuard no_grad;
  const at::Tensor row = at::tensor({0, 17, 40, 9, 2}, at::TensorOptions(at::kLong)).unsqueeze(0);
  const at::Tensor alone = net->embed(row, at::full({1}, 5, at::TensorOptions(at::kLong)));
  at::Tensor padded = at::full({2, 9}, 1, at::TensorOptions(at::kLong));
  padded.select(0, 0).fill_(30);
  padded.select(0, 1).narrow(0, 0, 5).copy_(row.squeeze(0));
  const at::Tensor both = net->embed(padded, at::tensor({9, 5}, at::TensorOptions(at::kLong)));
  CHECK((both.select(0, 1) - alone.squeeze(0)).abs().max().item<float>() < 1e-5f);
}

TEST_CASE("CometNet: a <pad> that the text spells out counts in the mean's divisor", "[unit]") {
  CometNet net =
      load_comet_net(goldens::folder() / "model", read_comet_config(goldens::folder() / "model/config.json"), at::kCPU);
  const at::NoGradGuard no_grad;
  const at::Tensor row = at::tensor({0, 17, 1, 9, 2}, at::TensorOptions(at::kLong)).unsqueeze(0);
  const at::Tensor spelled = net->embed(row, at::full({1}, 5, at::TensorOptions(at::kLong)));
  const at::Tensor shorter = net->embed(at::tensor({0, 17, 9, 2}, at::TensorOptions(at::kLong)).unsqueeze(0),
                                        at::full({1}, 4, at::TensorOptions(at::kLong)));
  CHECK(!at::equal(spelled, shorter));
}
