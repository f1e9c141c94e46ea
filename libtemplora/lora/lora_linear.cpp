#include "lora/lora_linear.h"

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

// Shapes: n parts of rank r, x [S, in], y [S, out]; h = x Aᵀ [S, n·r]; part p owns columns [p·r, (p+1)·r) of h
// and rows [b_row, b_row + rows) of b.
struct LoraLinear : Function<LoraLinear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& a_leaf,
                            const at::Tensor& b_leaf, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                            const std::vector<std::int64_t>& flat_parts, double scale, double dropout,
                            const std::optional<at::Generator>& generator) {
    const std::vector<LoraPart> parts = unpacked_parts(flat_parts);
    const std::int64_t rank = b_leaf.size(1);
    const at::Tensor a = a_leaf.to(x.scalar_type()), b = b_leaf.to(x.scalar_type());
    at::Tensor y = at::linear(x, weight, bias);  // [S, out]
    at::Tensor h;                                // [S, n·r]
    variable_list masks;
    if (dropout > 0) {
      h = at::empty({x.size(0), a.size(0)}, x.options());
      for (std::size_t p = 0; p < parts.size(); ++p) {
        at::Tensor mask = at::empty(x.sizes(), x.options().dtype(at::kBool));
        mask.bernoulli_(1 - dropout, generator);
        at::Tensor h_p = h.narrow(1, std::int64_t(p) * rank, rank);
        h_p.copy_(at::mm(x * mask, a.narrow(0, std::int64_t(p) * rank, rank).t()).div_(1 - dropout));
        masks.push_back(std::move(mask));
      }
    } else {
      h = at::mm(x, a.t());
    }
    std::int64_t b_row = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const at::Tensor h_p = h.narrow(1, std::int64_t(p) * rank, rank), b_p = b.narrow(0, b_row, parts[p].rows);
      y.narrow(1, parts[p].first_row, parts[p].rows).addmm_(h_p, b_p.t(), 1, scale);
      b_row += parts[p].rows;
    }
    variable_list saved{x, weight, a, b, h};
    saved.insert(saved.end(), masks.begin(), masks.end());
    ctx->save_for_backward(std::move(saved));
    ctx->saved_data["parts"] = flat_parts;
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["dropout"] = dropout;
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &a = saved[2], &b = saved[3], &h = saved[4];
    const std::vector<LoraPart> parts = unpacked_parts(ctx->saved_data["parts"].toIntVector());
    const double scale = ctx->saved_data["scale"].toDouble(), dropout = ctx->saved_data["dropout"].toDouble();
    const std::int64_t rank = b.size(1);
    const at::Tensor dy = grads[0].contiguous();  // [S, out]

    at::Tensor dh = at::empty_like(h), db = at::empty_like(b);
    std::int64_t b_row = 0;
    for (std::size_t p = 0; p < parts.size(); ++p) {
      const at::Tensor dy_p = dy.narrow(1, parts[p].first_row, parts[p].rows);  // [S, rows]
      at::Tensor dh_p = dh.narrow(1, std::int64_t(p) * rank, rank), db_p = db.narrow(0, b_row, parts[p].rows);
      const at::Tensor h_p = h.narrow(1, std::int64_t(p) * rank, rank);
      dh_p.addmm_(dy_p, b.narrow(0, b_row, parts[p].rows), 0, scale);  // scale · dy B  [S, r]
      db_p.addmm_(dy_p.t(), h_p, 0, scale);                            // scale · dyᵀ h  [rows, r]
      b_row += parts[p].rows;
    }

    const bool wants_dx = ctx->needs_input_grad(0);
    at::Tensor dx, da;
    if (wants_dx) dx = at::mm(dy, weight);  // [S, in]
    if (dropout > 0) {
      dh.div_(1 - dropout);
      da = at::empty_like(a);
      for (std::size_t p = 0; p < parts.size(); ++p) {
        const at::Tensor& mask = saved[5 + p];
        const at::Tensor dh_p = dh.narrow(1, std::int64_t(p) * rank, rank);
        da.narrow(0, std::int64_t(p) * rank, rank).copy_(at::mm(dh_p.t(), x * mask));
        if (wants_dx) dx.add_(at::mm(dh_p, a.narrow(0, std::int64_t(p) * rank, rank)).mul_(mask));
      }
    } else {
      da = at::mm(dh.t(), x);            // [n·r, in]
      if (wants_dx) dx.addmm_(dh, a);    // [S, in]
    }
    const at::Tensor none;
    return {dx, da.to(at::kFloat), db.to(at::kFloat), none, none, none, none, none, none};
  }
};

// The same for few rows without a graph: A and B are read as the float32 masters that they are.
at::Tensor skinny_lora(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
                         const at::Tensor& b, const std::vector<LoraPart>& parts, double scale) {
  const std::int64_t rank = b.size(1);
  at::Tensor y = skinny_gemm(x, weight, bias, weight.scalar_type());          // [S, out]
  const at::Tensor h = skinny_gemm(x.to(at::kFloat), a, {}, at::kFloat);      // [S, n·r]
  std::int64_t b_row = 0;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    skinny_gemm_add(y.narrow(1, parts[p].first_row, parts[p].rows), h.narrow(1, std::int64_t(p) * rank, rank),
                 b.narrow(0, b_row, parts[p].rows), scale);
    b_row += parts[p].rows;
  }
  return y;
}

}  // namespace

std::vector<std::int64_t> packed_parts(const std::vector<LoraPart>& parts) {
  std::vector<std::int64_t> flat;
  for (const LoraPart& part : parts) flat.insert(flat.end(), {part.first_row, part.rows});
  return flat;
}

std::vector<LoraPart> unpacked_parts(const std::vector<std::int64_t>& flat) {
  std::vector<LoraPart> parts;
  for (std::size_t i = 0; i < flat.size(); i += 2) parts.push_back({flat[i], flat[i + 1]});
  return parts;
}

at::Tensor lora_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, const at::Tensor& a,
                       const at::Tensor& b, const std::vector<LoraPart>& parts, double scale, double dropout,
                       const std::optional<at::Generator>& generator) {
  if (dropout == 0 && is_skinny(x, weight)) return skinny_lora(x, weight, bias, a, b, parts, scale);
  return LoraLinear::apply(x, a, b, weight, bias.defined() ? std::optional(bias) : std::nullopt, packed_parts(parts),
                           scale, dropout, generator);
}

}  // namespace templora
