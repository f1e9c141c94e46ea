#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "lora/lora_linear.h"

namespace templora {

/// (W + D) x + b on a fused group of frozen projections, as one autograd node that never touches the base weight's
/// gradient: to learn D by gradient descent is to learn the projections themselves, and without D there is the base.
/// x: [rows, in]; weight: [out, in]; bias: [out] or undefined; d: [Σ part rows, in] float32, parts stacked in order →
/// [rows, out] in x's dtype. D is a product of its own, so that in bfloat16 a small change is not rounded away in W.
at::Tensor full_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& d,
                       const std::vector<LoraPart>& parts);

}  // namespace templora
