#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

// What the hand-written row loops share: float32 arithmetic over float32 or bfloat16 storage. Included by the
// files that CMakeLists.txt compiles with vectorisation on, and by no header.

// The binary must start on any x86-64 and still use what the CPU has: the compiler makes one version for
// each level and the loader picks. It cannot sit on templates. Sums are written as `omp simd` reductions,
// which may be reordered but give the same bits on the same CPU.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define TEMPLORA_SIMD __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define TEMPLORA_SIMD
#endif

namespace templora::cpu {

/// exp of x in [-87, 88] as 2^k · p(f), f in [-1/2, 1/2]: a loop over it vectorises, one over std::exp does
/// not. Its relative error is below 2e-7, which is float32 rounding.
[[gnu::always_inline]] inline float exp_in_range(float x) {
  const float k = __builtin_floorf(x * 1.44269504089f + 0.5f);
  float f = x - k * 0.693359375f;  // ln 2 in two parts keeps the reduced argument exact
  f = f - k * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  return p * __builtin_bit_cast(float, (static_cast<std::int32_t>(k) + 127) << 23);
}

[[gnu::always_inline]] inline float load(float value) { return value; }
[[gnu::always_inline]] inline float load(std::uint16_t value) {
  return __builtin_bit_cast(float, std::uint32_t{value} << 16);
}
[[gnu::always_inline]] inline void store(float& target, float value) { target = value; }
[[gnu::always_inline]] inline void store(std::uint16_t& target, float value) {  // round to nearest even; NaN stays NaN
  const std::uint32_t bits = __builtin_bit_cast(std::uint32_t, value);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  target = static_cast<std::uint16_t>(value != value ? 0x7fc0u : rounded);
}

/// The type that loops see: bfloat16 as its bits, since at::BFloat16's own operators do not vectorise.
template <class T>
struct Raw {
  using Type = T;
};
template <>
struct Raw<at::BFloat16> {
  using Type = std::uint16_t;
};

template <class T>
auto raw(const T* p) {
  return reinterpret_cast<const typename Raw<T>::Type*>(p);
}
template <class T>
auto raw(T* p) {
  return reinterpret_cast<typename Raw<T>::Type*>(p);
}

}  // namespace templora::cpu
