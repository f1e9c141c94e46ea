#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "model/flat_parameters.h"
#include "train/optimizer.h"

namespace templora {

/// AdamW's constants (Loshchilov and Hutter 2019, arXiv 1711.05101).
struct AdamOptions {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  double clip_norm = 0;  ///< 0 does not clip
  double decay_to_start = 0;  ///< λ: θ ← θ + λ (θ₀ − θ) before each step, not times the rate as weight_decay is
};

/// AdamW over one flat buffer, one fused pass a step.
class AdamW : public Optimizer {
 public:
  /// θ₀ is what `parameters` hold now.
  AdamW(FlatParameters& parameters, const AdamOptions& options);

  /// Clips the gradient's norm as torch's clip_grad_norm_ does.
  at::Tensor step(double learning_rate) override;

  /// Forgets both moments and the step count. θ₀ stays.
  void reset() override;

  std::vector<std::pair<std::string, at::Tensor>> state() const override;

  /// What a resumed run needs: [numel] each, and the number of steps as a float32 scalar; start: [numel] θ₀, undefined
  /// without a decay to it.
  at::Tensor exp_avg, exp_avg_sq, steps, start;

 private:
  FlatParameters& parameters_;
  AdamOptions options_;
};

}  // namespace templora
