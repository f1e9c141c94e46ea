#include "lora/full_linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <torch/csrc/autograd/custom_function.h>

#include "model/skinny_gemm.h"

namespace templora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// x [S, in], y [S, out]; part p owns rows [d_row, d_row + rows) of d.
struct FullLinear : Function<FullLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& d_leaf,
                            const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            const std::vector<std::int64_t>& flat_parts) {
    const at::Tensor d = d_leaf.to(x.scalar_type());
    at::Tensor y = at::linear(x, weight, bias);  // [S, out]
    std::int64_t d_row = 0;
    for (const LoraPart& part : unpacked_parts(flat_parts)) {
      y.narrow(1, part.first_row, part.rows).addmm_(x, d.narrow(0, d_row, part.rows).t());
      d_row += part.rows;
    }
    ctx->save_for_backward({x, weight, d});
    ctx->saved_data["parts"] = flat_parts;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &d = saved[2];
    const at::Tensor dy = grads[0].contiguous();  // [S, out]
    at::Tensor dd = at::empty_like(d), dx;
    if (ctx->needs_input_grad(0)) dx = at::mm(dy, weight);  // [S, in]
    std::int64_t d_row = 0;
    for (const LoraPart& part : unpacked_parts(ctx->saved_data["parts"].toIntVector())) {
      const at::Tensor dy_p = dy.narrow(1, part.first_row, part.rows);  // [S, rows]
      at::Tensor dd_p = dd.narrow(0, d_row, part.rows);
      dd_p.addmm_(dy_p.t(), x, 0);  // [rows, in]
      if (dx.defined()) dx.addmm_(dy_p, d.narrow(0, d_row, part.rows));
      d_row += part.rows;
    }
    const at::Tensor none;
    return {dx, dd.to(at::kFloat), none, none, none};
  }
};

// The same for few rows without a graph: D is read as the float32 master that it is.
at::Tensor skinny_full(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& d,
                       const std::vector<LoraPart>& parts) {
  at::Tensor y = skinny_gemm(x, weight, bias, weight.scalar_type());  // [S, out]
  const at::Tensor wide = x.to(at::kFloat);
  std::int64_t d_row = 0;
  for (const LoraPart& part : parts) {
    skinny_gemm_add(y.narrow(1, part.first_row, part.rows), wide, d.narrow(0, d_row, part.rows), 1);
    d_row += part.rows;
  }
  return y;
}

}  // namespace

at::Tensor full_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& d,
                       const std::vector<LoraPart>& parts) {
  if (is_skinny(x, weight)) return skinny_full(x, weight, bias, d, parts);
  return FullLinear::apply(x, d, weight, bias.defined() ? std::optional(bias) : std::nullopt, packed_parts(parts));
}

}  // namespace templora
