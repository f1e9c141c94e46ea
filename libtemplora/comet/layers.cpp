#include "comet/layers.h"

#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/layer_norm.h>
#include <ATen/ops/linear.h>

namespace templora {

DenseImpl::DenseImpl(std::int64_t in, std::int64_t out, const at::TensorOptions& options)
    : weight_(register_parameter("weight", at::empty({out, in}, options), /*requires_grad=*/false)),
      bias_(register_parameter("bias", at::empty({out}, options), /*requires_grad=*/false)) {}

at::Tensor DenseImpl::forward(const at::Tensor& x) { return at::linear(x, weight_, bias_); }

LayerNormImpl::LayerNormImpl(std::int64_t hidden, double eps, const at::TensorOptions& options)
    : weight_(register_parameter("weight", at::empty({hidden}, options), /*requires_grad=*/false)),
      bias_(register_parameter("bias", at::empty({hidden}, options), /*requires_grad=*/false)),
      eps_(eps) {}

at::Tensor LayerNormImpl::forward(const at::Tensor& x) {
  return at::layer_norm(x, weight_.sizes(), weight_, bias_, eps_);
}

LookupTableImpl::LookupTableImpl(std::int64_t rows, std::int64_t hidden, const at::TensorOptions& options)
    : weight_(register_parameter("weight", at::empty({rows, hidden}, options), /*requires_grad=*/false)) {}

at::Tensor LookupTableImpl::forward(const at::Tensor& ids) { return at::embedding(weight_, ids); }

}  // namespace templora
