#include "model/skinny_gemm.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <algorithm>

#include "core/check.h"
#include "model/row_kernels.h"
#include "model/simd.h"

namespace templora {
namespace {

// Below this many bytes of the matrix a thread does it alone: waking another one costs as much.
constexpr std::int64_t kBytesPerTask = 64 * 1024;
constexpr std::int64_t kScratchColumns = 256;

// Splits the matrix rows among threads, in multiples of 8, which is what a kernel takes at once.
template <class Body>
void for_columns(std::int64_t out, std::int64_t row_bytes, Body&& body) {
  const std::int64_t blocks = (out + 7) / 8;
  const std::int64_t grain = std::max<std::int64_t>(1, kBytesPerTask / (8 * row_bytes));
  at::parallel_for(0, blocks, grain, [&](std::int64_t a, std::int64_t b) { body(8 * a, std::min(out, 8 * b)); });
}

// Computes columns [a, b) of all rows in pieces and hands each piece [rows, columns] to `take`.
template <class Dots, class Take>
void in_pieces(std::int64_t a, std::int64_t b, Dots&& dots, Take&& take) {
  float scratch[kSkinnyRows * kScratchColumns];
  for (std::int64_t c = a; c < b; c += kScratchColumns) {
    const std::int64_t count = std::min(kScratchColumns, b - c);
    dots(c, count, scratch);
    take(c, count, scratch);
  }
}

template <class Y, class W>
void store_with_bias(Y* y, std::int64_t y_stride, const W* bias, std::int64_t rows, std::int64_t count,
                     const float* sums) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < count; ++i)
      cpu::store(y[r * y_stride + i], sums[r * kScratchColumns + i] + (bias ? cpu::load(bias[i]) : 0.0f));
}

template <class Y>
void add_scaled(Y* y, std::int64_t y_stride, float scale, std::int64_t rows, std::int64_t count, const float* sums) {
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t i = 0; i < count; ++i)
      cpu::store(y[r * y_stride + i], cpu::load(y[r * y_stride + i]) + scale * sums[r * kScratchColumns + i]);
}

using cpu::raw;

template <class W>
void linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::Tensor& y) {
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const std::int64_t out = weight.size(0), in = weight.size(1), rows = x.numel() / in;
  const auto* w = raw(weight.const_data_ptr<W>());
  const auto* b = bias.defined() ? raw(bias.const_data_ptr<W>()) : nullptr;
  const void* xs = x.const_data_ptr();
  const auto dots = [&](std::int64_t c, std::int64_t count, float* to, std::int64_t stride) {
    if constexpr (sizeof(W) == sizeof(float))
      kernels.dots_f32(w + c * in, count, in, static_cast<const float*>(xs), in, rows, to, stride);
    else
      kernels.dots_bf16(w + c * in, count, in, xs, in, rows, to, stride);
  };
  for_columns(out, in * std::int64_t(sizeof(W)), [&](std::int64_t first, std::int64_t last) {
    if (!b && y.scalar_type() == at::kFloat) return dots(first, last - first, y.mutable_data_ptr<float>() + first, out);
    in_pieces(
        first, last, [&](std::int64_t c, std::int64_t count, float* to) { dots(c, count, to, kScratchColumns); },
        [&](std::int64_t c, std::int64_t count, const float* sums) {
          const auto* bias_c = b ? b + c : nullptr;
          if (y.scalar_type() == at::kFloat)
            store_with_bias(y.mutable_data_ptr<float>() + c, out, bias_c, rows, count, sums);
          else
            store_with_bias(raw(y.mutable_data_ptr<at::BFloat16>()) + c, out, bias_c, rows, count, sums);
        });
  });
}

}  // namespace

bool is_skinny(const at::Tensor& x, const at::Tensor& weight) {
  if (at::GradMode::is_enabled() || !x.device().is_cpu() || !weight.is_contiguous() || !x.is_contiguous()) return false;
  if (x.numel() == 0 || x.numel() > kSkinnyRows * weight.size(1)) return false;
  const at::ScalarType type = weight.scalar_type();
  return (type == at::kFloat || type == at::kBFloat16) && x.scalar_type() == type;
}

at::Tensor skinny_gemm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::ScalarType dtype) {
  TEMPLORA_CHECK(is_skinny(x, weight) && x.size(-1) == weight.size(1), "few rows of the weight's dtype wanted");
  RECORD_FUNCTION("templora::skinny_gemm", c10::ArrayRef<const c10::IValue>({x, weight}));
  at::DimVector sizes(x.sizes());
  sizes.back() = weight.size(0);
  at::Tensor y = at::empty(sizes, x.options().dtype(dtype));
  if (weight.scalar_type() == at::kFloat)
    linear<float>(x, weight, bias, y);
  else
    linear<at::BFloat16>(cpu::row_kernels().bf16_pairs ? x : x.to(at::kFloat), weight, bias, y);
  return y;
}

void skinny_gemm_add(at::Tensor y, const at::Tensor& x, const at::Tensor& weight, double scale) {
  const std::int64_t out = weight.size(0), in = weight.size(1), rows = x.size(0);
  TEMPLORA_CHECK(rows <= kSkinnyRows && x.stride(1) == 1 && y.stride(1) == 1 && weight.is_contiguous(),
                 "few rows wanted");
  RECORD_FUNCTION("templora::skinny_gemm_add", c10::ArrayRef<const c10::IValue>({x, weight}));
  const float* w = weight.const_data_ptr<float>();
  const float* xs = x.const_data_ptr<float>();
  const bool wide = y.scalar_type() == at::kFloat;
  void* ys = y.mutable_data_ptr();
  for_columns(out, in * std::int64_t(sizeof(float)), [&](std::int64_t first, std::int64_t last) {
    in_pieces(
        first, last,
        [&](std::int64_t c, std::int64_t count, float* to) {
          cpu::row_kernels().dots_f32(w + c * in, count, in, xs, x.stride(0), rows, to, kScratchColumns);
        },
        [&](std::int64_t c, std::int64_t count, const float* sums) {
          if (wide)
            add_scaled(static_cast<float*>(ys) + c, y.stride(0), float(scale), rows, count, sums);
          else
            add_scaled(static_cast<std::uint16_t*>(ys) + c, y.stride(0), float(scale), rows, count, sums);
        });
  });
}

}  // namespace templora
