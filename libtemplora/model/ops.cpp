#include "model/ops.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mean.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/silu.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/check.h"
#include "model/cpu_kernels.h"

namespace templora {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

template <class F>
void for_storage(const at::Tensor& x, F&& body) {
  if (x.scalar_type() == at::kFloat)
    body(float{});
  else
    body(at::BFloat16{});
}

at::ScalarType statistics_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// The normed x, and 1 / rms of each row.
std::pair<at::Tensor, at::Tensor> normed(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const std::int64_t hidden = x.size(-1), rows = x.numel() / hidden;
  at::Tensor y, rstd;
  if (has_cpu_loops(x)) {
    y = at::empty_like(x);
    rstd = at::empty({rows}, x.options().dtype(at::kFloat));
    for_storage(x, [&](auto t) {
      using T = decltype(t);
      cpu::rms_norm_forward(x.const_data_ptr<T>(), weight.const_data_ptr<T>(), y.mutable_data_ptr<T>(),
                            rstd.mutable_data_ptr<float>(), rows, hidden, float(eps));
    });
  } else {
    const at::Tensor wide = x.to(statistics_type(x));
    rstd = (wide.square().mean(-1, /*keepdim=*/true) + eps).rsqrt_();
    y = (wide * rstd).to(x.scalar_type()) * weight;
  }
  return {y, rstd};
}

struct FusedRmsNorm : Function<FusedRmsNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double eps) {
    auto [y, rstd] = normed(x, weight, eps);
    ctx->save_for_backward({x, weight, rstd});
    return y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &rstd = saved[2];
    const std::int64_t hidden = x.size(-1), rows = x.numel() / hidden;
    at::Tensor dx, d_weight;
    if (ctx->needs_input_grad(1)) {  // pretraining only: Temp-LoRA's norms are frozen
      const at::Tensor normed = x.reshape({rows, hidden}).to(rstd.scalar_type()) * rstd.reshape({rows, 1});
      d_weight = (grads[0].reshape({rows, hidden}).to(rstd.scalar_type()) * normed).sum(0).to(weight.scalar_type());
    }
    if (!ctx->needs_input_grad(0)) return {dx, d_weight, at::Tensor()};
    if (has_cpu_loops(x)) {
      const at::Tensor dy = grads[0].contiguous();
      dx = at::empty_like(x);
      for_storage(x, [&](auto t) {
        using T = decltype(t);
        cpu::rms_norm_backward(dy.const_data_ptr<T>(), x.const_data_ptr<T>(), weight.const_data_ptr<T>(),
                               rstd.const_data_ptr<float>(), dx.mutable_data_ptr<T>(), rows, hidden);
      });
    } else {
      const at::ScalarType wide = statistics_type(x);
      const at::Tensor g = grads[0].to(wide) * weight.to(wide), normed = x.to(wide) * rstd;
      dx = ((g - normed * (g * normed).mean(-1, /*keepdim=*/true)) * rstd).to(x.scalar_type());
    }
    return {dx, d_weight, at::Tensor()};
  }
};

at::Tensor gated(const at::Tensor& gate_up) {
  const std::int64_t ffn = gate_up.size(-1) / 2, rows = gate_up.numel() / (2 * ffn);
  if (!has_cpu_loops(gate_up)) return at::silu(gate_up.narrow(-1, 0, ffn)).mul_(gate_up.narrow(-1, ffn, ffn));
  auto sizes = gate_up.sizes().vec();
  sizes.back() = ffn;
  at::Tensor y = at::empty(sizes, gate_up.options());
  for_storage(gate_up, [&](auto t) {
    using T = decltype(t);
    cpu::swiglu_forward(gate_up.const_data_ptr<T>(), y.mutable_data_ptr<T>(), rows, ffn);
  });
  return y;
}

struct Swiglu : Function<Swiglu> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& gate_up) {
    ctx->save_for_backward({gate_up});
    return gated(gate_up);
  }

  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const at::Tensor gate_up = ctx->get_saved_variables()[0];
    const std::int64_t ffn = gate_up.size(-1) / 2, rows = gate_up.numel() / (2 * ffn);
    at::Tensor d_gate_up = at::empty_like(gate_up);
    if (has_cpu_loops(gate_up)) {
      const at::Tensor dy = grads[0].contiguous();
      for_storage(gate_up, [&](auto t) {
        using T = decltype(t);
        cpu::swiglu_backward(dy.const_data_ptr<T>(), gate_up.const_data_ptr<T>(), d_gate_up.mutable_data_ptr<T>(),
                             rows, ffn);
      });
    } else {
      const at::Tensor gate = gate_up.narrow(-1, 0, ffn), up = gate_up.narrow(-1, ffn, ffn), s = gate.sigmoid();
      d_gate_up.narrow(-1, ffn, ffn).copy_(grads[0] * gate * s);
      d_gate_up.narrow(-1, 0, ffn).copy_(grads[0] * up * s * (1 + gate * (1 - s)));
    }
    return {d_gate_up};
  }
};

// The inverse of a rotation is its derivative's transpose, so backward is forward with sign -1.
at::Tensor rotated(const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin, float sign) {
  const std::int64_t batch = x.size(0), seq = x.size(1), heads = x.size(2), dim = x.size(3);
  const bool rows_are_regular =
      x.stride(3) == 1 && x.stride(2) == dim && (batch == 1 || x.stride(0) == seq * x.stride(1));
  if (has_cpu_loops(x)) {
    const at::Tensor in = rows_are_regular ? x : x.contiguous();
    at::Tensor y = at::empty({batch, seq, heads, dim}, x.options());
    for_storage(x, [&](auto t) {
      using T = decltype(t);
      cpu::rotate(in.const_data_ptr<T>(), in.stride(1), y.mutable_data_ptr<T>(), cos.const_data_ptr<float>(),
                  sin.const_data_ptr<float>(), batch * seq, seq, heads, dim, sign);
    });
    return y;
  }
  const at::ScalarType wide = statistics_type(x);
  const at::Tensor c = cos.to(wide).unsqueeze(1), s = sin.to(wide).unsqueeze(1) * sign;  // [seq, 1, dim / 2]
  const at::Tensor a = x.narrow(-1, 0, dim / 2).to(wide), b = x.narrow(-1, dim / 2, dim / 2).to(wide);
  return at::cat({a * c - b * s, b * c + a * s}, -1).to(x.scalar_type());
}

struct Rotate : Function<Rotate> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin) {
    ctx->save_for_backward({cos, sin});
    return rotated(x, cos, sin, 1.0f);
  }
  static variable_list backward(AutogradContext* ctx, variable_list grads) {
    const variable_list saved = ctx->get_saved_variables();
    return {rotated(grads[0], saved[0], saved[1], -1.0f), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

bool has_cpu_loops(const at::Tensor& x) {
  return x.device().is_cpu() && (x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16);
}

// Without a graph there is nothing to save, and a node's upkeep would cost more than the work on a single row.
at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double eps) {
  if (!at::GradMode::is_enabled()) return normed(x.contiguous(), weight, eps).first;
  return FusedRmsNorm::apply(x.contiguous(), weight, eps);
}

at::Tensor swiglu(const at::Tensor& gate_up) {
  if (!at::GradMode::is_enabled()) return gated(gate_up.contiguous());
  return Swiglu::apply(gate_up.contiguous());
}

at::Tensor rotate(const at::Tensor& heads, const RopeTable& rope) {
  TEMPLORA_CHECK(heads.dim() == 4 && heads.size(1) == rope.cos.size(0), "rotate: [batch, seq, heads, head_dim] wanted");
  if (!at::GradMode::is_enabled()) return rotated(heads, rope.cos, rope.sin, 1.0f);
  return Rotate::apply(heads, rope.cos, rope.sin);
}

}  // namespace templora
