#include "train/softmax_kernel.h"

#include <c10/util/BFloat16.h>

#include <cmath>
#include <vector>

// One version for each level of x86-64, as in model/cpu_kernels.cpp.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TEMPLORA_SIMD __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define TEMPLORA_SIMD
#endif

namespace templora::cpu {
namespace {

// exp of a number that is not above 0, as 2^k · p(f): within float32 rounding; 0 below e^-87.
inline float exp_of_negative(float x) {
  const bool tiny = x < -87.0f;
  x = tiny ? -87.0f : x;
  const float k = __builtin_floorf(x * 1.44269504089f + 0.5f);
  float f = x - k * 0.693359375f;  // ln 2 in two parts
  f = f - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  const float power = __builtin_bit_cast(float, (static_cast<std::int32_t>(k) + 127) << 23);
  return tiny ? 0.0f : p * power;
}

inline float load(float value) { return value; }
inline float load(std::uint16_t value) { return __builtin_bit_cast(float, std::uint32_t(value) << 16); }
inline void store(float& to, float value) { to = value; }
inline void store(std::uint16_t& to, float value) {  // round to nearest even; logits are finite
  const auto bits = __builtin_bit_cast(std::uint32_t, value);
  to = std::uint16_t((bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16);
}

template <class T>
struct Raw {
  using Type = T;
};
template <>
struct Raw<at::BFloat16> {
  using Type = std::uint16_t;
};

template <class R>
[[gnu::always_inline]] inline double softmax_row(R* row, std::int64_t target, float* wide, std::int64_t vocab, float scale) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < vocab; ++i) {
    const float value = load(row[i]);
    wide[i] = value;
    most = value > most ? value : most;
  }
  const float target_logit = wide[target];
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < vocab; ++i) {
    const float e = exp_of_negative(wide[i] - most);
    wide[i] = e;
    sum += e;
  }
  const float target_share = wide[target] / sum, factor = scale / sum;
#pragma omp simd
  for (std::int64_t i = 0; i < vocab; ++i) store(row[i], wide[i] * factor);
  store(row[target], (target_share - 1.0f) * scale);
  return std::log(double(sum)) + double(most) - double(target_logit);
}

template <class R>
[[gnu::always_inline]] inline void add_row(const R* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) out[i] += load(in[i]);
}

// The clones, which cannot be templates.
#define TEMPLORA_CLONES(R)                                                                                          \
  TEMPLORA_SIMD double softmax_rows(R* logits, const std::int64_t* targets, float* wide, std::int64_t rows,         \
                                    std::int64_t vocab, float scale) {                                              \
    double total = 0;                                                                                               \
    for (std::int64_t r = 0; r < rows; ++r) total += softmax_row(logits + r * vocab, targets[r], wide, vocab, scale); \
    return total;                                                                                                   \
  }                                                                                                                 \
  TEMPLORA_SIMD void add_all_rows(const R* rows, const std::int64_t* ids, float* table, std::int64_t count,         \
                                  std::int64_t n) {                                                                 \
    for (std::int64_t r = 0; r < count; ++r) add_row(rows + r * n, table + ids[r] * n, n);                          \
  }
TEMPLORA_CLONES(float)
TEMPLORA_CLONES(std::uint16_t)

}  // namespace

template <class T>
double softmax_nll_gradient(T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocab, float scale) {
  std::vector<float> wide(static_cast<std::size_t>(vocab));
  return softmax_rows(reinterpret_cast<typename Raw<T>::Type*>(logits), targets, wide.data(), rows, vocab, scale);
}

template <class T>
void add_rows(const T* rows, const std::int64_t* ids, float* table, std::int64_t count, std::int64_t n) {
  add_all_rows(reinterpret_cast<const typename Raw<T>::Type*>(rows), ids, table, count, n);
}

template double softmax_nll_gradient(float*, const std::int64_t*, std::int64_t, std::int64_t, float);
template double softmax_nll_gradient(at::BFloat16*, const std::int64_t*, std::int64_t, std::int64_t, float);
template void add_rows(const float*, const std::int64_t*, float*, std::int64_t, std::int64_t);
template void add_rows(const at::BFloat16*, const std::int64_t*, float*, std::int64_t, std::int64_t);

}  // namespace templora::cpu
