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
      options_(options) {
  if (options.decay_to_start > 0) start = parameters.value.clone();
}

at::Tensor AdamW::step(double learning_rate) {
  const at::NoGradGuard no_grad;
  const at::Tensor norm = clip_gradient(parameters_, options_.clip_norm);
  steps.add_(1);
  if (start.defined()) parameters_.value.lerp_(start, options_.decay_to_start);
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
  std::vector<std::pair<std::string, at::Tensor>> state{
      {"exp_avg", exp_avg}, {"exp_avg_sq", exp_avg_sq}, {"steps", steps}};
  if (start.defined()) state.push_back({"start", start});
  return state;
}

}  // namespace templora
