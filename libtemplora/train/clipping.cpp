#include "train/clipping.h"

#include <ATen/ops/linalg_vector_norm.h>

namespace templora {

at::Tensor clip_gradient(FlatParameters& parameters, double largest) {
  const at::Tensor norm = at::linalg_vector_norm(parameters.grad);
  if (largest > 0) parameters.grad.mul_((largest / (norm + 1e-6)).clamp_max_(1.0));
  return norm;
}

}  // namespace templora
