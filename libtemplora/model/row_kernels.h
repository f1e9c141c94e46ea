#pragma once

#include <cstdint>

// The inner loops of decoding: products of few rows with a large matrix, and attention of one row over a cache.
// Such a product is bound by reading the matrix, so each kernel reads it once, in its storage type. They are
// compiled once for each instruction set (row_kernels_body.h), in files of their own that include nothing from
// which the linker could pick a function for an older CPU.

namespace templora::cpu {

using Bf16 = std::uint16_t;  // the bits

/// The kernels of one instruction set. Every result is summed in an order that depends on the length of the sum
/// alone: a row's results do not depend on the rows beside it.
struct RowKernels {
  const char* name;
  /// out[r · out_stride + c] = Σ_i w[c · k + i] · x[r · x_stride + i], for c < n and r < rows.
  void (*dots_f32)(const float* w, std::int64_t n, std::int64_t k, const float* x, std::int64_t x_stride,
                   std::int64_t rows, float* out, std::int64_t out_stride);
  /// The same with a bfloat16 matrix; x is bfloat16 where `bf16_pairs`, else float.
  void (*dots_bf16)(const Bf16* w, std::int64_t n, std::int64_t k, const void* x, std::int64_t x_stride,
                    std::int64_t rows, float* out, std::int64_t out_stride);
  bool bf16_pairs;
  /// scores [n] → softmax(scale · scores), in place.
  void (*softmax)(float* scores, std::int64_t n, float scale);
  /// out[i] = Σ_j weights[j] · v[j · dim + i], for i < dim and j < n.
  void (*mix_f32)(const float* v, std::int64_t n, std::int64_t dim, const float* weights, float* out);
  void (*mix_bf16)(const Bf16* v, std::int64_t n, std::int64_t dim, const float* weights, float* out);
};

/// The best set that this CPU has.
const RowKernels& row_kernels();

extern const RowKernels kRowKernelsBase;
#if defined(__x86_64__)
extern const RowKernels kRowKernelsV3;    // AVX2
extern const RowKernels kRowKernelsV4;    // AVX-512
extern const RowKernels kRowKernelsBf16;  // AVX-512 with products of bfloat16 pairs
#endif

}  // namespace templora::cpu
