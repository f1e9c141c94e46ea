#include "train/dynamic_evaluation.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include <limits>

#include "train/clipping.h"

namespace templora {

DynamicEvaluation::DynamicEvaluation(FlatParameters& parameters, const DynamicEvaluationOptions& options)
    : parameters_(parameters), options_(options) {
  if (options.scaled) {
    square_sum = at::zeros_like(parameters.value);
    steps = at::zeros({}, parameters.value.options());
  }
  if (options.decay_to_start > 0) start = parameters.value.clone();
}

at::Tensor DynamicEvaluation::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  at::Tensor &value = parameters_.value, &grad = parameters_.grad;
  const at::Tensor norm = clip_gradient(parameters_, options_.clip_norm);
  if (options_.scaled) {
    steps.add_(1);
    square_sum.addcmul_(grad, grad);
    const at::Tensor root = (square_sum / steps).sqrt_();  // [numel]
    if (start.defined()) {
      // Where no gradient was ever there the mean is 0, and nothing has left θ₀.
      const at::Tensor mean = root.mean().clamp_min_(std::numeric_limits<float>::min());
      value.lerp_(start, (root / mean).mul_(options_.decay_to_start).clamp_max_(1.0));
    }
    value.addcdiv_(grad, root + options_.eps, -learning_rate);
  } else {
    if (start.defined()) value.lerp_(start, options_.decay_to_start);
    value.add_(grad, -learning_rate);
  }
  grad.zero_();
  return norm;
}

void DynamicEvaluation::reset() {
  if (!options_.scaled) return;
  square_sum.zero_();
  steps.zero_();
}

std::vector<std::pair<std::string, at::Tensor>> DynamicEvaluation::state() const {
  std::vector<std::pair<std::string, at::Tensor>> state;
  if (square_sum.defined()) state = {{"square_sum", square_sum}, {"steps", steps}};
  if (start.defined()) state.push_back({"start", start});
  return state;
}

}  // namespace templora
