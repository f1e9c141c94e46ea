#include "model/token_nll.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/_log_softmax_backward_data.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/log_softmax.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "config/model_shape.h"

namespace templora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

at::ScalarType wide_type(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat; }

// What a mean over the rows hands back to each of them, rounded as its backward rounds it.
at::Tensor share_of_mean(const at::Tensor& hidden, std::int64_t rows) {
  return at::ones({1}, hidden.options().dtype(wide_type(hidden))).div_(double(rows));
}

// NLLs of all rows; fills d_hidden, where it is defined, with the gradient of their mean, (softmax(h Wᵀ) - one_hot) W /
// rows, by the operations, and so to the bit, that autograd would run where one block is enough.
at::Tensor by_blocks(const at::Tensor& hidden, const at::Tensor& weight, const at::Tensor& targets,
                     at::Tensor d_hidden) {
  const at::NoGradGuard no_grad;
  const std::int64_t rows = hidden.size(0), block = logit_block_rows(weight.size(0));
  const at::ScalarType wide = wide_type(hidden);
  at::Tensor nll = at::empty({rows}, hidden.options().dtype(wide));
  const at::Tensor share = d_hidden.defined() ? share_of_mean(hidden, rows) : at::Tensor();
  for (std::int64_t first = 0; first < rows; first += block) {
    const std::int64_t count = std::min(block, rows - first);
    const at::Tensor log_p =
        at::log_softmax(at::linear(hidden.narrow(0, first, count), weight).to(wide), -1);  // [count, vocab]
    const at::Tensor ids = targets.narrow(0, first, count).unsqueeze(1);
    at::Tensor out = nll.narrow(0, first, count);
    out.copy_(log_p.gather(1, ids).squeeze(1)).neg_();
    if (!d_hidden.defined()) continue;
    const at::Tensor d_log_p = at::zeros_like(log_p).scatter_(1, ids, share.neg().expand({count, 1}));
    const at::Tensor d_logits = at::_log_softmax_backward_data(d_log_p, log_p, -1, wide);
    at::Tensor d_rows = d_hidden.narrow(0, first, count);
    at::mm_out(d_rows, d_logits.to(hidden.scalar_type()), weight);
  }
  return nll;
}

// A row's NLL depends on its own hidden state alone, so its gradient is known, up to the factor that comes in, as soon
// as its logits are: nothing of the vocabulary's size is kept for the backward pass.
struct LinearNll : Function<LinearNll> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& hidden, const at::Tensor& weight,
                            const at::Tensor& targets) {
    at::Tensor d_hidden = at::empty_like(hidden);
    at::Tensor nll = by_blocks(hidden, weight, targets, d_hidden);
    ctx->save_for_backward({d_hidden});
    return nll;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor d_hidden = ctx->get_saved_variables()[0];
    const at::Tensor factor = grads[0] / share_of_mean(d_hidden, d_hidden.size(0));  // 1 where the loss is the mean
    return {(d_hidden * factor.unsqueeze(1)).to(d_hidden.scalar_type()), at::Tensor(), at::Tensor()};
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
