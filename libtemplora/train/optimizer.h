#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "model/flat_parameters.h"

namespace templora {

/// Updates the parameters in one flat buffer by the gradient that lies in another.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Clips the gradient, updates, and zeroes the gradient in place (see FlatParameters). → its norm before clipping, a
  /// scalar left on the device: reading it is the caller's synchronisation.
  virtual at::Tensor step(double learning_rate) = 0;

  /// Forgets what earlier gradients left.
  virtual void reset() = 0;

  /// What a resumed run needs, by name; copying into these tensors restores it.
  virtual std::vector<std::pair<std::string, at::Tensor>> state() const = 0;
};

/// Makes the optimizer of parameters that have their first weights. Both arguments outlive it.
using MakeOptimizer = std::function<std::unique_ptr<Optimizer>(FlatParameters& parameters, const TrainConfig& config)>;

/// The one that `train.optimizer` names.
std::unique_ptr<Optimizer> make_optimizer(FlatParameters& parameters, const TrainConfig& config);

}  // namespace templora
