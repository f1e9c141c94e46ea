#include "train/optimizer.h"

namespace templora {
namespace {

std::variant<AdamW, DynamicEvaluation> make_rule(FlatParameters& parameters, const TrainConfig& c) {
  if (c.optimizer == OptimizerKind::adamw)
    return AdamW(parameters, {c.adam_beta1, c.adam_beta2, c.adam_eps, c.weight_decay, c.clip_norm});
  return DynamicEvaluation(parameters, {c.optimizer == OptimizerKind::rms, c.rms_eps, c.decay_to_start, c.clip_norm});
}

}  // namespace

Optimizer::Optimizer(FlatParameters& parameters, const TrainConfig& config) : rule_(make_rule(parameters, config)) {}

at::Tensor Optimizer::step(double learning_rate) {
  return std::visit([&](auto& rule) { return rule.step(learning_rate); }, rule_);
}

void Optimizer::reset() {
  std::visit([](auto& rule) { rule.reset(); }, rule_);
}

std::vector<std::pair<std::string, at::Tensor>> Optimizer::state() const {
  if (const AdamW* adam = std::get_if<AdamW>(&rule_))
    return {{"exp_avg", adam->exp_avg}, {"exp_avg_sq", adam->exp_avg_sq}, {"steps", adam->steps}};
  const DynamicEvaluation& rule = std::get<DynamicEvaluation>(rule_);
  std::vector<std::pair<std::string, at::Tensor>> state;
  if (rule.square_sum.defined()) state = {{"square_sum", rule.square_sum}, {"steps", rule.steps}};
  if (rule.start.defined()) state.push_back({"start", rule.start});
  return state;
}

}  // namespace templora
