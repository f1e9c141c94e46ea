#include "model/cpu_kernels.h"

#include <ATen/Parallel.h>

#include <cmath>

#include "model/simd.h"

namespace templora::cpu {
namespace {

inline float clamped_exp(float x) { return exp_in_range(x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x)); }

template <class R>
[[gnu::always_inline]] inline void norm_row(const R* x, const R* w, R* y, float* rstd, std::int64_t n, float eps) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) sum += load(x[i]) * load(x[i]);
  const float r = 1.0f / std::sqrt(sum / float(n) + eps);
  *rstd = r;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) store(y[i], load(w[i]) * (load(x[i]) * r));
}

template <class R>
[[gnu::always_inline]] inline void norm_row_backward(const R* dy, const R* x, const R* w, float r, R* dx,
                                                     std::int64_t n) {
  float dot = 0;
#pragma omp simd reduction(+ : dot)
  for (std::int64_t i = 0; i < n; ++i) dot += load(dy[i]) * load(w[i]) * load(x[i]);
  const float c = dot * r * r * r / float(n);
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) store(dx[i], load(dy[i]) * load(w[i]) * r - load(x[i]) * c);
}

template <class R>
[[gnu::always_inline]] inline void swiglu_row(const R* gate, const R* up, R* y, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = load(gate[i]);
    store(y[i], g / (1.0f + clamped_exp(-g)) * load(up[i]));
  }
}

template <class R>
[[gnu::always_inline]] inline void swiglu_row_backward(const R* dy, const R* gate, const R* up, R* d_gate, R* d_up,
                                                       std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) {
    const float g = load(gate[i]), d = load(dy[i]);
    const float s = 1.0f / (1.0f + clamped_exp(-g));
    store(d_up[i], d * g * s);
    store(d_gate[i], d * load(up[i]) * s * (1.0f + g * (1.0f - s)));
  }
}

template <class R>
[[gnu::always_inline]] inline void rotate_head(const R* x, R* y, const float* cos, const float* sin, std::int64_t half,
                                               float sign) {
#pragma omp simd
  for (std::int64_t i = 0; i < half; ++i) {
    const float a = load(x[i]), b = load(x[i + half]), c = cos[i], s = sin[i] * sign;
    store(y[i], a * c - b * s);
    store(y[i + half], b * c + a * s);
  }
}

// target_clones cannot sit on templates: one pair of named functions for each row loop.
#define TEMPLORA_ROW_LOOPS(R)                                                                                       \
  TEMPLORA_SIMD void norm_rows(const R* x, const R* w, R* y, float* rstd, std::int64_t rows, std::int64_t n,        \
                               float eps) {                                                                         \
    for (std::int64_t r = 0; r < rows; ++r) norm_row(x + r * n, w, y + r * n, rstd + r, n, eps);                    \
  }                                                                                                                 \
  TEMPLORA_SIMD void norm_rows_backward(const R* dy, const R* x, const R* w, const float* rstd, R* dx,              \
                                        std::int64_t rows, std::int64_t n) {                                        \
    for (std::int64_t r = 0; r < rows; ++r) norm_row_backward(dy + r * n, x + r * n, w, rstd[r], dx + r * n, n);    \
  }                                                                                                                 \
  TEMPLORA_SIMD void swiglu_rows(const R* gate_up, R* y, std::int64_t rows, std::int64_t n) {                       \
    for (std::int64_t r = 0; r < rows; ++r) swiglu_row(gate_up + r * 2 * n, gate_up + r * 2 * n + n, y + r * n, n); \
  }                                                                                                                 \
  TEMPLORA_SIMD void swiglu_rows_backward(const R* dy, const R* gate_up, R* d, std::int64_t rows, std::int64_t n) { \
    for (std::int64_t r = 0; r < rows; ++r) {                                                                       \
      const R* g = gate_up + r * 2 * n;                                                                             \
      swiglu_row_backward(dy + r * n, g, g + n, d + r * 2 * n, d + r * 2 * n + n, n);                               \
    }                                                                                                               \
  }                                                                                                                 \
  TEMPLORA_SIMD void rotate_rows(const R* x, std::int64_t x_stride, R* y, const float* cos, const float* sin,       \
                                 std::int64_t first, std::int64_t last, std::int64_t seq, std::int64_t heads,       \
                                 std::int64_t dim, float sign) {                                                    \
    for (std::int64_t r = first; r < last; ++r)                                                                     \
      for (std::int64_t h = 0; h < heads; ++h)                                                                      \
        rotate_head(x + r * x_stride + h * dim, y + (r * heads + h) * dim, cos + (r % seq) * (dim / 2),             \
                    sin + (r % seq) * (dim / 2), dim / 2, sign);                                                    \
  }
TEMPLORA_ROW_LOOPS(float)
TEMPLORA_ROW_LOOPS(std::uint16_t)

constexpr std::int64_t kGrain = 16;  // rows: one is thousands of elements, a task should be some of them

}  // namespace

template <class T>
void rms_norm_forward(const T* x, const T* weight, T* y, float* rstd, std::int64_t rows, std::int64_t n, float eps) {
  at::parallel_for(0, rows, kGrain, [&](std::int64_t a, std::int64_t b) {
    norm_rows(raw(x) + a * n, raw(weight), raw(y) + a * n, rstd + a, b - a, n, eps);
  });
}

template <class T>
void rms_norm_backward(const T* dy, const T* x, const T* weight, const float* rstd, T* dx, std::int64_t rows,
                       std::int64_t n) {
  at::parallel_for(0, rows, kGrain, [&](std::int64_t a, std::int64_t b) {
    norm_rows_backward(raw(dy) + a * n, raw(x) + a * n, raw(weight), rstd + a, raw(dx) + a * n, b - a, n);
  });
}

template <class T>
void swiglu_forward(const T* gate_up, T* y, std::int64_t rows, std::int64_t n) {
  at::parallel_for(0, rows, kGrain, [&](std::int64_t a, std::int64_t b) {
    swiglu_rows(raw(gate_up) + a * 2 * n, raw(y) + a * n, b - a, n);
  });
}

template <class T>
void swiglu_backward(const T* dy, const T* gate_up, T* d_gate_up, std::int64_t rows, std::int64_t n) {
  at::parallel_for(0, rows, kGrain, [&](std::int64_t a, std::int64_t b) {
    swiglu_rows_backward(raw(dy) + a * n, raw(gate_up) + a * 2 * n, raw(d_gate_up) + a * 2 * n, b - a, n);
  });
}

template <class T>
void rotate(const T* x, std::int64_t x_stride, T* y, const float* cos, const float* sin, std::int64_t rows,
            std::int64_t seq, std::int64_t heads, std::int64_t dim, float sign) {
  at::parallel_for(0, rows, kGrain, [&](std::int64_t a, std::int64_t b) {
    rotate_rows(raw(x), x_stride, raw(y), cos, sin, a, b, seq, heads, dim, sign);
  });
}

#define TEMPLORA_INSTANTIATE(T)                                                                                    \
  template void rms_norm_forward<T>(const T*, const T*, T*, float*, std::int64_t, std::int64_t, float);            \
  template void rms_norm_backward<T>(const T*, const T*, const T*, const float*, T*, std::int64_t, std::int64_t);  \
  template void swiglu_forward<T>(const T*, T*, std::int64_t, std::int64_t);                                       \
  template void swiglu_backward<T>(const T*, const T*, T*, std::int64_t, std::int64_t);                            \
  template void rotate<T>(const T*, std::int64_t, T*, const float*, const float*, std::int64_t, std::int64_t,      \
                          std::int64_t, std::int64_t, float);
TEMPLORA_INSTANTIATE(float)
TEMPLORA_INSTANTIATE(at::BFloat16)

}  // namespace templora::cpu
