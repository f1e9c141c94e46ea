#include "model/skinny_gemm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>

#include "catch.h"
#include "goldens.h"
#include "model/row_kernels.h"

using namespace templora;

TEST_CASE("skinny_gemm: equals the general product, biases and odd sizes included", "[unit]") {
  const at::NoGradGuard no_grad;
  for (const auto dtype : {at::kFloat, at::kBFloat16})
    for (const auto& [out, in] : {std::pair{37, 77}, {300, 32}, {8, 7}, {1, 1}, {33, 768}})
      for (const std::int64_t rows : {1, 2, 3, 4, 7, 16}) {
        const at::Tensor x = at::randn({rows, in}).to(dtype), w = at::randn({out, in}).to(dtype),
                         bias = at::randn({out}).to(dtype);
        const at::Tensor wanted = at::linear(x.to(at::kDouble), w.to(at::kDouble), bias.to(at::kDouble));
        INFO("dtype " << int(dtype) << ", " << rows << " rows of " << in << " times " << out);
        CHECK(goldens::largest_difference(skinny_gemm(x, w, bias, at::kFloat), wanted) <= 1e-4);
        const double rounding = dtype == at::kFloat ? 1e-4 : wanted.abs().max().item<double>() / 200;
        CHECK(goldens::largest_difference(skinny_gemm(x, w, bias, dtype), wanted) <= rounding);
      }
}

TEST_CASE("skinny_gemm: a row has the same bits whatever rows are beside it", "[unit]") {
  const at::NoGradGuard no_grad;
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = at::randn({16, 203}).to(dtype), w = at::randn({91, 203}).to(dtype);
    const at::Tensor all = skinny_gemm(x, w, {}, dtype);
    for (const std::int64_t rows : {1, 2, 3, 5, 8})
      CHECK(at::equal(skinny_gemm(x.narrow(0, 4, rows), w, {}, dtype), all.narrow(0, 4, rows)));
  }
}

TEST_CASE("skinny_gemm_add: adds in place into a part of wider rows", "[unit]") {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const at::Tensor h = at::randn({3, 30}), w = at::randn({21, 10});
    at::Tensor y = at::randn({3, 50}).to(dtype);
    const at::Tensor before = y.clone();
    skinny_gemm_add(y.narrow(1, 9, 21), h.narrow(1, 20, 10), w, 0.5);
    const at::Tensor wanted = before.narrow(1, 9, 21).to(at::kDouble) +
                              0.5 * at::matmul(h.narrow(1, 20, 10).to(at::kDouble), w.t().to(at::kDouble));
    CHECK(goldens::largest_difference(y.narrow(1, 9, 21), wanted) <= (dtype == at::kFloat ? 1e-5 : 0.05));
    CHECK(at::equal(y.narrow(1, 0, 9), before.narrow(1, 0, 9)));
    CHECK(at::equal(y.narrow(1, 30, 20), before.narrow(1, 30, 20)));
  }
}

TEST_CASE("Row kernels: the portable set gives what this CPU's set gives", "[unit]") {
  const at::Tensor x = at::randn({5, 100}), w = at::randn({43, 100}), v = at::randn({43, 100});
  const auto run = [&](const cpu::RowKernels& kernels) {
    at::Tensor scores = at::randn({5, 43}), out = at::randn({100});
    kernels.dots_f32(w.const_data_ptr<float>(), 43, 100, x.const_data_ptr<float>(), 100, 5,
                     scores.mutable_data_ptr<float>(), 43);
    kernels.softmax(scores.mutable_data_ptr<float>(), 43, 0.1f);
    kernels.mix_f32(v.const_data_ptr<float>(), 43, 100, scores.const_data_ptr<float>(), out.mutable_data_ptr<float>());
    return out;
  };
  const at::Tensor wanted = at::matmul((at::matmul(x[0], w.t()).to(at::kDouble) * 0.1).softmax(0), v.to(at::kDouble));
  CHECK(goldens::largest_difference(run(cpu::kRowKernelsBase), wanted) <= 1e-5);
  CHECK(goldens::largest_difference(run(cpu::row_kernels()), wanted) <= 1e-5);
}
