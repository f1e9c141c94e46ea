#pragma once

#include <ATen/core/Tensor.h>

#include "model/rope.h"

namespace templora {

// The elementwise parts of a Llama layer, each one pass over memory with a hand-written derivative:
// composed from library calls, every one of them would read and write its activations several times.
// All are differentiable in their activations and treat weights as constants unless they require grad.

/// Whether the CPU's own loops know a tensor: float32 or bfloat16. Every other case (CUDA, float64 in tests) is
/// composed from ATen calls.
bool has_cpu_loops(const at::Tensor& x);

/// x / rms(x) · weight over the last dimension (Zhang and Sennrich 2019, arXiv 1910.07467), statistics in
/// float32. x: [..., hidden] contiguous; weight: [hidden]. → like x.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps);

/// silu(gate) · up. gate_up: [..., 2 · ffn], gate first. → [..., ffn].
at::Tensor swiglu(const at::Tensor& gate_up);

/// Rotates query or key heads by their positions.
/// heads: [batch, seq, any heads, head_dim], any strides; rope: of length seq.
/// → the same shape, contiguous; dimension i paired with i + head_dim / 2 as Hugging Face does.
at::Tensor rotate(const at::Tensor& heads, const RopeTable& rope);

}  // namespace templora
