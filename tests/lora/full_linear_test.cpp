#include "lora/full_linear.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>

#include "../model/goldens.h"
#include "catch.h"

using namespace templora;

namespace {

/// What autograd makes of (W + D) x + b, with D padded to W's shape.
at::Tensor plain(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& d,
                 const std::vector<LoraPart>& parts) {
  at::Tensor whole = at::zeros(weight.sizes(), weight.options());
  std::int64_t row = 0;
  for (const LoraPart& part : parts) {
    whole = at::cat({whole.narrow(0, 0, part.first_row), d.narrow(0, row, part.rows),
                     whole.narrow(0, part.first_row + part.rows, weight.size(0) - part.first_row - part.rows)});
    row += part.rows;
  }
  return at::linear(x, weight + whole, bias);
}

}  // namespace

TEST_CASE("full_linear: values and gradients are those of the sum of both weights", "[unit]") {
  at::manual_seed(3);
  const std::vector<LoraPart> parts{{2, 3}, {7, 4}};
  for (const std::int64_t rows : {1, 20})
    for (const bool with_bias : {false, true}) {
      INFO(rows << " rows" << (with_bias ? ", bias" : ""));
      const at::Tensor weight = at::randn({12, 8}), bias = with_bias ? at::randn({12}) : at::Tensor();
      const at::Tensor x = at::randn({rows, 8}).requires_grad_(), d = (0.1 * at::randn({7, 8})).requires_grad_();
      const at::Tensor out = full_linear(x, weight, bias, d, parts), wanted = plain(x, weight, bias, d, parts);
      CHECK(goldens::largest_difference(out.detach(), wanted.detach()) <= 1e-5);
      const at::Tensor toward = at::randn(out.sizes());
      (out * toward).sum().backward();
      const at::Tensor dx = x.grad().clone(), dd = d.grad().clone();
      x.mutable_grad().zero_(), d.mutable_grad().zero_();
      (wanted * toward).sum().backward();
      CHECK(goldens::largest_difference(dx, x.grad()) <= 1e-5);
      CHECK(goldens::largest_difference(dd, d.grad()) <= 1e-5);
      const at::NoGradGuard no_grad;  // few rows without a graph take another way
      CHECK(goldens::largest_difference(full_linear(x, weight, bias, d, parts), wanted) <= 1e-5);
    }
}
