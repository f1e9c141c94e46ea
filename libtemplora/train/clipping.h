#pragma once

#include <ATen/core/Tensor.h>

#include "model/flat_parameters.h"

namespace templora {

/// Scales the gradient so that its norm is at most `largest` (0: leaves it), as torch's clip_grad_norm_ does, its
/// 1e-6 included. → the norm before, a scalar left on the device. Call it under NoGradGuard.
at::Tensor clip_gradient(FlatParameters& parameters, double largest);

}  // namespace templora
