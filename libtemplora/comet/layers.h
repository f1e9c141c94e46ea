#pragma once

#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace templora {

// Building blocks whose parameters start uninitialised, on any device: torch's own modules would draw half a
// billion random numbers that loading then overwrites. No parameter requires grad.

/// A node of a name's path that holds modules and computes nothing.
struct ModuleGroup : torch::nn::Module {};

/// x Wᵀ + b. x: [..., in] → [..., out].
class DenseImpl : public torch::nn::Module {
 public:
  DenseImpl(std::int64_t in, std::int64_t out, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  at::Tensor weight_;  // [out, in]
  at::Tensor bias_;    // [out]
};
TORCH_MODULE(Dense);

/// Layer normalisation over the last dimension with scale and shift.
class LayerNormImpl : public torch::nn::Module {
 public:
  LayerNormImpl(std::int64_t hidden, double eps, const at::TensorOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  at::Tensor weight_, bias_;  // [hidden]
  double eps_;
};
TORCH_MODULE(LayerNorm);

/// Rows of a table by index.
class LookupTableImpl : public torch::nn::Module {
 public:
  LookupTableImpl(std::int64_t rows, std::int64_t hidden, const at::TensorOptions& options);
  /// ids: int64 of any shape → [..., hidden].
  at::Tensor forward(const at::Tensor& ids);

 private:
  at::Tensor weight_;  // [rows, hidden]
};
TORCH_MODULE(LookupTable);

}  // namespace templora
