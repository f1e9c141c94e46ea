#include "experiment/neural_cache.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linalg_vector_norm.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/softmax.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"

namespace templora {
namespace {

constexpr double kFirstShare = 0.1, kLength = 10;  // of a state

double first_logit() { return std::log(kFirstShare / (1 - kFirstShare)); }

}  // namespace

at::Tensor NeuralCache::look_up(const at::Tensor& hidden, const at::Tensor& targets) {
  const at::NoGradGuard no_grad;
  const at::Tensor wide = hidden.to(at::kFloat);
  const at::Tensor states = wide / at::linalg_vector_norm(wide, 2, {-1}, /*keepdim=*/true).clamp_min(1e-12);
  const std::int64_t rows = states.size(0), kept = states_.defined() ? states_.size(0) : 0;
  const at::Tensor all = kept > 0 ? at::cat({states_, states}) : states;        // [kept + rows, hidden]
  const at::Tensor tokens = kept > 0 ? at::cat({tokens_, targets}) : targets;   // [kept + rows]
  // A row sees what was kept and the chunk's rows before it.
  const at::Tensor place = at::arange(kept + rows, targets.options());
  const at::Tensor hides = place.unsqueeze(0) >= (place.narrow(0, kept, rows)).unsqueeze(1);  // [rows, kept + rows]
  const at::Tensor scores = at::mm(states, all.t())
                                .mul_(config_.theta * kLength * kLength)
                                .masked_fill_(hides, -std::numeric_limits<float>::infinity());
  const at::Tensor weights = at::softmax(scores, 1).masked_fill_(hides, 0);     // the very first row sees nothing
  const at::Tensor probability =
      (weights * (tokens.unsqueeze(0) == targets.unsqueeze(1)).to(at::kFloat)).sum(1);  // [rows]
  const std::int64_t keep = std::min(config_.entries, kept + rows);
  states_ = all.narrow(0, kept + rows - keep, keep).clone();
  tokens_ = tokens.narrow(0, kept + rows - keep, keep).clone();
  return probability;
}

std::vector<float> NeuralCache::mixed(Arm arm, const std::vector<float>& nll, const std::vector<float>& cached) {
  double& a = logits_.try_emplace(arm, first_logit()).first->second;
  std::vector<float> mixture(nll.size());
  for (std::size_t i = 0; i < nll.size(); ++i) {
    const double share = 1 / (1 + std::exp(-a)), model = std::exp(-double(nll[i])), cache = double(cached[i]);
    const double p = (1 - share) * model + share * cache;
    mixture[i] = float(-std::log(p));
    // Of a probability that a double does not hold, no gradient is taken: its NLL is the model's own.
    if (p > 0)
      a = std::clamp(a + config_.learning_rate * share * (1 - share) * (cache - model) / p, -20.0, 20.0);
    else
      mixture[i] = nll[i];
  }
  return mixture;
}

Json NeuralCache::state() const {
  Json logits = Json::object();
  for (const auto& [arm, a] : logits_) logits[arm_name(arm)] = a;
  return Json{{"kept", states_.defined() ? states_.size(0) : 0}, {"logits", logits}};
}

std::vector<std::pair<std::string, at::Tensor>> NeuralCache::tensors() const {
  if (!states_.defined()) return {};
  return {{"states", states_}, {"tokens", tokens_}};
}

void NeuralCache::restore(const Json& state, const std::function<at::Tensor(const std::string&)>& stored) {
  for (const Arm arm : kFurtherArms)
    if (const auto found = state.at("logits").find(arm_name(arm)); found != state.at("logits").end())
      logits_[arm] = found->get<double>();
  const auto kept = state.at("kept").get<std::int64_t>();
  if (kept == 0) return;
  states_ = stored("states");
  tokens_ = stored("tokens");
  if (states_.dim() != 2 || tokens_.dim() != 1 || states_.size(0) != kept || tokens_.size(0) != kept ||
      kept > config_.entries || states_.scalar_type() != at::kFloat || tokens_.scalar_type() != at::kLong)
    throw Error(Exit::bad_input, "saved state: neural_cache: states and tokens do not fit; start the run anew");
}

}  // namespace templora
