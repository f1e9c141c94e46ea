#pragma once

#include <cstdint>

namespace templora::cpu {

// Row-wise loops behind model/ops.h, float or at::BFloat16 storage, float32 arithmetic. `rows` are
// independent, so results do not depend on how many threads share them.

/// x: [rows, n], weight: [n] → y [rows, n] = x / rms(x) · weight, and rstd [rows] = 1 / rms for the derivative.
template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, float* rstd, std::int64_t rows, std::int64_t n, float eps);

/// dy, x: [rows, n], weight: [n], rstd: [rows] → dx [rows, n].
template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd, T* dx, std::int64_t rows,
                       std::int64_t n);

/// gate_up: [rows, 2 · n], gate first → y [rows, n] = silu(gate) · up.
template <class T>
void swiglu_forward(const T* gate_up, T* y, std::int64_t rows, std::int64_t n);

/// dy: [rows, n], gate_up: [rows, 2 · n] → d_gate_up [rows, 2 · n].
template <class T>
void swiglu_backward(const T* dy, const T* gate_up, T* d_gate_up, std::int64_t rows, std::int64_t n);

/// x: [rows, heads, dim] with `x_stride` elements between rows → y [rows, heads, dim] contiguous; row r
/// stands at position r % seq of cos and sin [seq, dim / 2]. `sign` is 1, or -1 for the inverse rotation.
template <class T>
void rotate(const T* x, std::int64_t x_stride, T* y, const float* cos, const float* sin, std::int64_t rows,
            std::int64_t seq, std::int64_t heads, std::int64_t dim, float sign);

}  // namespace templora::cpu
