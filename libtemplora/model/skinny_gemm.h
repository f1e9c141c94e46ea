#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace templora {

// Products of a few rows with a matrix on the CPU, as decoding needs them: the time is that of reading the
// matrix once. A row's result does not depend on the rows beside it or on the number of threads. They are recorded as
// functions of their own (at::RecordFunction), so that profilers and counters see them like the library's products.

/// Rows that these products take; more are better served by a general product.
inline constexpr std::int64_t kSkinnyRows = 16;

/// Whether `x` ([rows, in] or [..., in]) and `weight` are for these products: few rows, no graph being built, on
/// the CPU, contiguous; float32 weight, or bfloat16 weight with bfloat16 x.
bool is_skinny(const at::Tensor& x, const at::Tensor& weight);

/// x Wᵀ + bias. x: [..., in]; weight: [out, in]; bias: [out] of weight's dtype, or undefined.
/// → [..., out] in `dtype` (float32, or bfloat16, rounded once).
at::Tensor skinny_gemm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias, at::ScalarType dtype);

/// y += scale · x Wᵀ in place. x: [rows, in] float32 with any row stride; weight: [out, in] float32; y: [rows, out],
/// float32 or bfloat16, with any row stride.
void skinny_gemm_add(at::Tensor y, const at::Tensor& x, const at::Tensor& weight, double scale);

}  // namespace templora
