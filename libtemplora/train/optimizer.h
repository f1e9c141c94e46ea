#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/config.h"
#include "train/adamw.h"
#include "train/dynamic_evaluation.h"

namespace templora {

/// The optimizer that `train.optimizer` names, over one flat buffer.
class Optimizer {
 public:
  Optimizer(FlatParameters& parameters, const TrainConfig& config);

  /// Clips the gradient, updates, and zeroes the gradient. → its norm before clipping, a scalar left on the device.
  at::Tensor step(double learning_rate);

  /// Forgets what earlier gradients left: moments, mean squares and their counts.
  void reset();

  /// What a resumed run needs, by name; copying into these tensors restores it. "exp_avg", "exp_avg_sq", "steps" of
  /// AdamW; "square_sum", "steps" of rms; "start" where there is a decay to it.
  std::vector<std::pair<std::string, at::Tensor>> state() const;

 private:
  std::variant<AdamW, DynamicEvaluation> rule_;
};

}  // namespace templora
