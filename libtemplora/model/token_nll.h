#pragma once

#include <ATen/core/Tensor.h>

namespace templora {

/// Negative log-likelihoods of tokens under softmax(hidden · weightᵀ), by blocks of rows (logit_block_rows(),
/// config/model_shape.h), since the logits of all rows would be the largest tensor there is. The softmax runs in
/// float32 whatever the dtype (float64 for float64).
/// hidden: [rows, hidden]; weight: [vocab, hidden], the same dtype; targets: [rows] int64, on one device → [rows] nats,
/// differentiable if grad mode is on. Where `weight` requires grad, which Temp-LoRA's never does, all logits are there.
at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

}  // namespace templora
