#include "comet/comet_net.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/tanh.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <string>

#include "core/check.h"
#include "text/xlmr_tokenizer.h"

namespace templora {

std::vector<double> layer_weights(const std::vector<double>& scalars, LayerTransformation transformation) {
  std::vector<double> out(scalars);
  if (transformation == LayerTransformation::softmax) {
    const double largest = *std::max_element(scalars.begin(), scalars.end());
    double sum = 0;
    for (double& value : out) sum += value = std::exp(value - largest);
    for (double& value : out) value /= sum;
    return out;
  }
  // The threshold is what makes the largest k values, each less it, sum to 1, for the largest k that all exceed it.
  std::vector<double> sorted(scalars);
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  double sum = 0, threshold = 0;
  for (std::size_t k = 1; k <= sorted.size(); ++k) {
    sum += sorted[k - 1];
    if (1 + double(k) * sorted[k - 1] <= sum) break;
    threshold = (sum - 1) / double(k);
  }
  for (double& value : out) value = std::max(value - threshold, 0.0);
  return out;
}

LayerMixImpl::LayerMixImpl(std::int64_t states, LayerTransformation transformation, const at::TensorOptions& options)
    : transformation_(transformation) {
  auto list = register_module("scalar_parameters", std::make_shared<ModuleGroup>());
  for (std::int64_t i = 0; i < states; ++i)
    scalars_.push_back(list->register_parameter(std::to_string(i), at::empty({1}, options), /*requires_grad=*/false));
  gamma_ = register_parameter("gamma", at::empty({1}, options), /*requires_grad=*/false);
}

std::vector<double> LayerMixImpl::weights() const {
  std::vector<double> scalars;
  for (const at::Tensor& scalar : scalars_) scalars.push_back(scalar.item<double>());
  std::vector<double> out = layer_weights(scalars, transformation_);
  for (double& weight : out) weight *= gamma_.item<double>();
  return out;
}

namespace {

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::tanh: return at::tanh(x);
    case Activation::sigmoid: return at::sigmoid(x);
    case Activation::softsign: return x / (x.abs() + 1);
  }
  TEMPLORA_CHECK(false, "unknown activation");
  return x;
}

}  // namespace

EstimatorImpl::EstimatorImpl(const CometConfig& c, const at::TensorOptions& options)
    : activation_(c.activation), final_activation_(c.final_activation) {
  auto stack = register_module("ff", std::make_shared<ModuleGroup>());
  std::int64_t in = 6 * c.encoder.hidden_size;
  std::vector<std::int64_t> sizes = c.hidden_sizes;
  sizes.push_back(1);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    // The package's stack also counts an activation and a dropout after each layer.
    layers_.push_back(stack->register_module(std::to_string(3 * i), Dense(in, sizes[i], options)));
    in = sizes[i];
  }
}

at::Tensor EstimatorImpl::forward(const at::Tensor& features) {
  at::Tensor x = features;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    x = layers_[i]->forward(x);
    if (i + 1 < layers_.size()) x = activate(x, activation_);
  }
  if (final_activation_) x = activate(x, *final_activation_);
  return x.squeeze(1);  // [batch]
}

CometNetImpl::CometNetImpl(const CometConfig& config, const at::TensorOptions& options)
    : encoder_(register_module("encoder", std::make_shared<ModuleGroup>())
                   ->register_module("model", Xlmr(config.encoder, options))),
      mix_(register_module("layerwise_attention",
                           LayerMix(config.encoder.layers + 1, config.layer_transformation, options))),
      estimator_(register_module("estimator", Estimator(config, options))) {}

at::Tensor CometNetImpl::embed(const at::Tensor& tokens, const at::Tensor& lengths) {
  const std::int64_t seq = tokens.size(1);
  at::Tensor present = at::arange(seq, tokens.options()).unsqueeze(0).lt(lengths.unsqueeze(1));  // [batch, seq]
  // As the package does it: every token counts in the divisor, <s> and </s> too; a <pad> that the text spells out
  // counts there and adds nothing.
  const at::Tensor share =
      (tokens.ne(XlmrTokenizer::kPad).to(at::kFloat) / lengths.unsqueeze(1)).unsqueeze(1);  // [batch, 1, seq]
  if (present.all().item<bool>()) present = at::Tensor();
  // Mixing and averaging are both linear, so that each state is averaged first and only means are mixed.
  const std::vector<double> weights = mix_->weights();
  at::Tensor mixed;  // [batch, hidden]
  std::size_t state = 0;
  encoder_->forward(tokens, present, [&](const at::Tensor& hidden) {  // [batch, seq, hidden]
    const double weight = weights.at(state++);
    const at::Tensor part = share.matmul(hidden).squeeze(1) * weight;  // [batch, hidden]
    mixed = mixed.defined() ? mixed + part : part;
  });
  return mixed;
}

at::Tensor CometNetImpl::score(const at::Tensor& src, const at::Tensor& mt, const at::Tensor& ref) {
  return estimator_->forward(
      at::cat({mt, ref, mt * ref, (mt - ref).abs(), mt * src, (mt - src).abs()}, 1));  // [batch, 6 · hidden] → [batch]
}

}  // namespace templora
