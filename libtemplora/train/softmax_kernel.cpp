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

template <class S>
TEMPLORA_SIMD float widen_and_max(const S* in, float* out, std::int64_t n) {
  float most = -INFINITY;
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < n; ++i) {
    const float value = load(in[i]);
    out[i] = value;
    most = value > most ? value : most;
  }
  return most;
}

TEMPLORA_SIMD float exp_and_sum(float* x, float most, std::int64_t n) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    const float e = exp_of_negative(x[i] - most);
    x[i] = e;
    sum += e;
  }
  return sum;
}

template <class S>
TEMPLORA_SIMD void scale_to(const float* in, S* out, float factor, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) store(out[i], in[i] * factor);
}

template <class S>
TEMPLORA_SIMD void add_row(const S* in, float* out, std::int64_t n) {
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) out[i] += load(in[i]);
}

template <class T>
struct Stored {
  using Type = float;
};
template <>
struct Stored<at::BFloat16> {
  using Type = std::uint16_t;
};

}  // namespace

template <class T>
double softmax_nll_gradient(T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocab, float scale) {
  using S = typename Stored<T>::Type;
  S* const all = reinterpret_cast<S*>(logits);
  std::vector<float> wide(static_cast<std::size_t>(vocab));
  double total = 0;
  for (std::int64_t r = 0; r < rows; ++r) {
    S* const row = all + r * vocab;
    const float most = widen_and_max(row, wide.data(), vocab);
    const float target_logit = wide[std::size_t(targets[r])];
    const float sum = exp_and_sum(wide.data(), most, vocab);
    total += std::log(double(sum)) + double(most) - double(target_logit);
    const float target_share = wide[std::size_t(targets[r])] / sum;
    scale_to(wide.data(), row, scale / sum, vocab);
    store(row[targets[r]], (target_share - 1.0f) * scale);
  }
  return total;
}

template <class T>
void add_rows(const T* rows, const std::int64_t* ids, float* table, std::int64_t count, std::int64_t n) {
  using S = typename Stored<T>::Type;
  const S* const all = reinterpret_cast<const S*>(rows);
  for (std::int64_t r = 0; r < count; ++r) add_row(all + r * n, table + ids[r] * n, n);
}

template double softmax_nll_gradient(float*, const std::int64_t*, std::int64_t, std::int64_t, float);
template double softmax_nll_gradient(at::BFloat16*, const std::int64_t*, std::int64_t, std::int64_t, float);
template void add_rows(const float*, const std::int64_t*, float*, std::int64_t, std::int64_t);
template void add_rows(const at::BFloat16*, const std::int64_t*, float*, std::int64_t, std::int64_t);

}  // namespace templora::cpu
