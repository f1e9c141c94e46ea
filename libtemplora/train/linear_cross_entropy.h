#pragma once

#include <ATen/core/Tensor.h>

namespace templora {

/// Loss of an output projection and its gradients in one go, by blocks of rows, so that the logits of all
/// rows are never there at once: for a small model they would be most of its memory.
/// hidden: [rows, hidden]; weight: [vocab, hidden], the same dtype; targets: [rows] int64; `scale` multiplies
/// the gradients. Adds to d_weight ([vocab, hidden] float32) and fills d_hidden (like hidden).
/// → Σ NLL in nats.
double linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets, double scale,
                            at::Tensor& d_hidden, at::Tensor& d_weight);

/// The loss alone.
double linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets);

}  // namespace templora
