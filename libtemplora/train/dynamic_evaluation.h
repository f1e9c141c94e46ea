#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "model/flat_parameters.h"
#include "train/optimizer.h"

namespace templora {

/// Constants of dynamic evaluation (Krause et al. 2018, arXiv 1709.07432).
struct DynamicEvaluationOptions {
  bool scaled = true;         ///< divide by the root mean square of the gradients; false: plain SGD
  double eps = 1e-7;          ///< added to that root
  double decay_to_start = 0;  ///< λ
  double clip_norm = 0;       ///< 0 does not clip
};

/// Gradient descent that is drawn back to where it started, over one flat buffer. At step t, with the clipped
/// gradient g, every line elementwise:
///
///     scaled      m_t = Σ_{s ≤ t} g_s² / t,   r = √m_t,   d = min(λ · r / mean(r), 1)
///                 θ ← θ + d (θ₀ − θ) − η g / (r + ε)
///     not scaled  θ ← θ + λ (θ₀ − θ) − η g
///
/// Krause et al. take m from a pass over the training set with the weights θ₀. A stream has no such set, and with
/// B = 0 the gradient of A would be zero there; so m is the mean over the steps made so far, this one included: it
/// needs nothing but what was read, and settles as the text goes on. mean(r) runs over all weights.
class DynamicEvaluation : public Optimizer {
 public:
  /// θ₀ is what `parameters` hold now.
  DynamicEvaluation(FlatParameters& parameters, const DynamicEvaluationOptions& options);

  at::Tensor step(double learning_rate) override;

  /// Forgets the gradients' statistics. θ₀ stays.
  void reset() override;

  std::vector<std::pair<std::string, at::Tensor>> state() const override;

  /// What a resumed run needs. square_sum: [numel] Σ g², steps: a float32 scalar, both undefined unless scaled;
  /// start: [numel] θ₀, undefined without a decay.
  at::Tensor square_sum, steps, start;

 private:
  FlatParameters& parameters_;
  DynamicEvaluationOptions options_;
};

}  // namespace templora
