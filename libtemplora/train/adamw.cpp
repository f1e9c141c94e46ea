#include "train/adamw.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>

#include "train/clipping.h"

namespace templora {

AdamW::AdamW(FlatParameters& parameters, const AdamOptions& options)
    : exp_avg(at::zeros_like(parameters.value)),
      exp_avg_sq(at::zeros_like(parameters.value)),
      steps(at::zeros({}, parameters.value.options())),
      parameters_(parameters),
      options_(options) {}

at::Tensor AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  const at::Tensor norm = clip_gradient(parameters_, options_.clip_norm);
  steps.add_(1);
  at::_fused_adamw_({parameters_.value}, {parameters_.grad}, {exp_avg}, {exp_avg_sq}, {}, {steps}, learning_rate,
                    options_.beta1, options_.beta2, options_.weight_decay, options_.eps, /*amsgrad=*/false,
                    /*maximize=*/false);
  parameters_.grad.zero_();
  return norm;
}

void AdamW::reset() {
  exp_avg.zero_();
  exp_avg_sq.zero_();
  steps.zero_();
}

std::vector<std::pair<std::string, at::Tensor>> AdamW::state() const {
  return {{"exp_avg", exp_avg}, {"exp_avg_sq", exp_avg_sq}, {"steps", steps}};
}

}  // namespace templora
