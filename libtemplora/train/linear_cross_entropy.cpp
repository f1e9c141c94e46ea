#include "train/linear_cross_entropy.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>

#include <algorithm>

#include "config/model_shape.h"
#include "train/softmax_kernel.h"

namespace templora {
namespace {

// logits → scale · (softmax - one_hot), in place or in a new tensor; → Σ NLL.
double softmax_gradient(at::Tensor& logits, const at::Tensor& targets, double scale) {
  const std::int64_t rows = logits.size(0), vocab = logits.size(1);
  if (logits.device().is_cpu() && logits.scalar_type() == at::kFloat)
    return cpu::softmax_nll_gradient(logits.mutable_data_ptr<float>(), targets.const_data_ptr<std::int64_t>(), rows,
                                     vocab, float(scale));
  if (logits.device().is_cpu() && logits.scalar_type() == at::kBFloat16)
    return cpu::softmax_nll_gradient(logits.mutable_data_ptr<at::BFloat16>(), targets.const_data_ptr<std::int64_t>(),
                                     rows, vocab, float(scale));
  const at::ScalarType dtype = logits.scalar_type();
  at::Tensor log_p = at::log_softmax(logits.to(dtype == at::kDouble ? at::kDouble : at::kFloat), -1);
  const at::Tensor ids = targets.unsqueeze(1);
  const double nll = -log_p.gather(1, ids).sum().to(at::kDouble).item<double>();
  at::Tensor p = log_p.exp_();
  p.scatter_add_(1, ids, at::full_like(ids, -1, p.options()));
  logits = p.mul_(scale).to(dtype);
  return nll;
}

}  // namespace

double linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets, double scale,
                            at::Tensor& d_hidden, at::Tensor& d_weight) {
  const at::NoGradGuard no_grad;
  const std::int64_t rows = hidden.size(0), block = logit_block_rows(weight.size(0));
  d_hidden = at::empty_like(hidden);
  double nll = 0;
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    const at::Tensor h = hidden.narrow(0, first, count);
    at::Tensor logits = at::linear(h, weight);  // [count, vocab]
    nll += softmax_gradient(logits, targets.narrow(0, first, count), scale);
    at::Tensor d_h = d_hidden.narrow(0, first, count);
    at::mm_out(d_h, logits, weight);
    d_weight.add_(at::mm(logits.t(), h));
  }
  return nll;
}

double linear_cross_entropy(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  const at::NoGradGuard no_grad;
  const std::int64_t block = logit_block_rows(weight.size(0));
  double nll = 0;
  for (std::int64_t first = 0; first < hidden.size(0); first += block) {
    const std::int64_t count = std::min(block, hidden.size(0) - first);
    at::Tensor logits = at::linear(hidden.narrow(0, first, count), weight);
    nll += softmax_gradient(logits, targets.narrow(0, first, count), 0.0);
  }
  return nll;
}

}  // namespace templora
