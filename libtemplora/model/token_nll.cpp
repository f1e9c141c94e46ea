#include "model/token_nll.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "run/model_shape.h"

namespace templora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

// NLLs of all rows; fills d_hidden, where it is defined, with the gradient of each row's own NLL:
// (softmax(h Wᵀ) - one_hot) W.
at::Tensor by_blocks(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets, at::Tensor d_hidden) {
  const at::NoGradGuard no_grad;
  const std::int64_t rows = hidden.size(0), block = logit_block_rows(weight.size(0));
  const at::ScalarType wide = wide_type(hidden);
  at::Tensor nll = at::empty({rows}, hidden.options().dtype(wide));
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    at::Tensor log_p = at::log_softmax(at::linear(hidden.narrow(0, first, count), weight).to(wide), -1);  // [count, vocab]
    const at::Tensor ids = targets.narrow(0, first, count).unsqueeze(1);
    at::Tensor out = nll.narrow(0, first, count);
    out.copy_(log_p.gather(1, ids).squeeze(1)).neg_();
    if (!d_hidden.defined()) continue;
    at::Tensor d_logits = log_p.exp_();
    d_logits.scatter_add_(1, ids, at::full_like(ids, -1, d_logits.options()));
    at::Tensor d_rows = d_hidden.narrow(0, first, count);
    at::mm_out(d_rows, d_logits.to(hidden.scalar_type()), weight);
  }
  return nll;
}

// A row's NLL depends on its own hidden state alone, so its gradient is known, up to the factor that comes in, as soon as
// its logits are: nothing of the vocabulary's size is kept for the backward pass.
struct LinearNll : Function<LinearNll> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
    at::Tensor d_hidden = at::empty_like(hidden);
    at::Tensor nll = by_blocks(hidden, weight, targets, d_hidden);
    ctx->save_for_backward({d_hidden});
    return nll;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor d_hidden = ctx->get_saved_variables()[0];
    return {(d_hidden * grads[0].unsqueeze(1)).to(d_hidden.scalar_type()), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor linear_nll(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets) {
  if (at::GradMode::is_enabled() && weight.requires_grad()) {
    const at::Tensor logits = at::linear(hidden, weight);
    return at::cross_entropy_loss(logits.to(wide_type(hidden)), targets, {}, at::Reduction::None);
  }
  if (!at::GradMode::is_enabled() || !hidden.requires_grad()) return by_blocks(hidden, weight, targets, {});
  return LinearNll::apply(hidden, weight, targets);
}

}  // namespace templora
