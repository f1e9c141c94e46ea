#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace templora {

/// Trainable float32 tensors that lie in one buffer, with their gradients in another, so that clipping and
/// the optimizer are one pass over each. Autograd adds straight into `grad`: never reset a leaf's grad, zero
/// the buffer. (Leaves are detached from the buffer: views that autograd tracks would make it copy the
/// whole buffer for each of them.)
struct FlatParameters {
  FlatParameters() = default;
  /// Allocates zeros for tensors of these shapes, in this order.
  FlatParameters(const std::vector<std::vector<std::int64_t>>& shapes, const at::Device& device);

  at::Tensor value;                ///< [Σ numel] float32
  at::Tensor grad;                 ///< [Σ numel] float32
  std::vector<at::Tensor> leaves;  ///< views with requires_grad, grads preset
};

}  // namespace templora
