// The body of row_kernels.h for one instruction set. No include guard: the including file defines
// TEMPLORA_LANES (floats in a register) and, where the CPU multiplies
// pairs of bfloat16, TEMPLORA_BF16_PAIRS, and is compiled for that set.

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>
#ifdef TEMPLORA_BF16_PAIRS
#include <immintrin.h>
#endif

#include "model/row_kernels.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors wider than the base ABI's are passed between inlined functions only

namespace templora::cpu {
namespace {

#define TEMPLORA_INLINE [[gnu::always_inline]] inline

constexpr int kLanes = TEMPLORA_LANES;
typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef std::uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef std::uint16_t Halves __attribute__((vector_size(2 * kLanes)));

TEMPLORA_INLINE Floats widen(Halves halves) {
  return reinterpret_cast<Floats>(__builtin_convertvector(halves, Words) << 16);
}

TEMPLORA_INLINE Floats load(const float* p) {
  Floats v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

TEMPLORA_INLINE Floats load(const Bf16* p) {
  Halves v;
  std::memcpy(&v, p, sizeof v);
  return widen(v);
}

// The first `count` numbers, the rest 0.
TEMPLORA_INLINE Floats load_some(const float* p, std::int64_t count) {
  Floats v = {};
  std::memcpy(&v, p, std::size_t(count) * sizeof *p);
  return v;
}

TEMPLORA_INLINE Floats load_some(const Bf16* p, std::int64_t count) {
  Halves v = {};
  std::memcpy(&v, p, std::size_t(count) * sizeof *p);
  return widen(v);
}

template <std::size_t... i>
TEMPLORA_INLINE Floats pair_sums(Floats a, Floats b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b, int(2 * i)...) + __builtin_shufflevector(a, b, int(2 * i + 1)...);
}

// Sums of neighbours: those of a in the lower half, those of b in the upper.
TEMPLORA_INLINE Floats pair_sums(Floats a, Floats b) { return pair_sums(a, b, std::make_index_sequence<kLanes>()); }

// The sum over the lanes of each of `count` accumulators, all at once; count is a power of 2. Each sum is the
// same tree over neighbouring lanes whatever the count.
template <int count>
TEMPLORA_INLINE void lane_sums(Floats* sums, float* out) {
  if constexpr (count > kLanes) {
    lane_sums<count / 2>(sums, out);
    lane_sums<count / 2>(sums + count / 2, out + count / 2);
  } else {
    for (int live = count; live > 1; live /= 2)
      for (int i = 0; i < live / 2; ++i) sums[i] = pair_sums(sums[2 * i], sums[2 * i + 1]);
    for (int width = kLanes / count; width > 1; width /= 2) sums[0] = pair_sums(sums[0], sums[0]);
    std::memcpy(out, &sums[0], count * sizeof(float));
  }
}

// `n` matrix rows times `m` rows of x, every product in a register of its own. The hardware follows n short rows
// side by side badly, so data of the next block is asked for on the way, from `fetch` on and 2^slower times slower
// than this block is read: into the second-level cache, as the first also has to hold x.
template <int n, int m, class W>
TEMPLORA_INLINE void block(const W* w, std::int64_t k, const W* fetch, int slower, const float* x,
                           std::int64_t x_stride, float* out, std::int64_t out_stride) {
  Floats sums[n * m] = {};
  const std::int64_t whole = k / kLanes * kLanes;
  for (std::int64_t i = 0; i < whole; i += kLanes) {
    Floats xs[m];
    for (int r = 0; r < m; ++r) xs[r] = load(x + r * x_stride + i);
    for (int c = 0; c < n; ++c) {
      __builtin_prefetch(fetch + c * k + (i >> slower), 0, 2);
      const Floats row = load(w + c * k + i);
      for (int r = 0; r < m; ++r) sums[r * n + c] += row * xs[r];
    }
  }
  if (whole < k)
    for (int c = 0; c < n; ++c) {
      const Floats row = load_some(w + c * k + whole, k - whole);
      for (int r = 0; r < m; ++r) sums[r * n + c] += row * load_some(x + r * x_stride + whole, k - whole);
    }
  float flat[n * m];
  lane_sums<n * m>(sums, flat);
  for (int r = 0; r < m; ++r)
    for (int c = 0; c < n; ++c) out[r * out_stride + c] = flat[r * n + c];
}

#ifdef TEMPLORA_BF16_PAIRS
// One instruction multiplies 32 pairs and adds neighbours in float32.
template <int n, int m>
TEMPLORA_INLINE void block(const Bf16* w, std::int64_t k, const Bf16* fetch, int slower, const Bf16* x,
                           std::int64_t x_stride, float* out, std::int64_t out_stride) {
  const auto pairs = [](const Bf16* p) { return reinterpret_cast<__m512bh>(_mm512_loadu_si512(p)); };
  __m512 dots[n * m];
  for (__m512& dot : dots) dot = _mm512_setzero_ps();
  const std::int64_t whole = k / 32 * 32;
  for (std::int64_t i = 0; i < whole; i += 32) {
    __m512bh xs[m];
    for (int r = 0; r < m; ++r) xs[r] = pairs(x + r * x_stride + i);
    for (int c = 0; c < n; ++c) {
      __builtin_prefetch(fetch + c * k + (i >> slower), 0, 2);
      const __m512bh row = pairs(w + c * k + i);
      for (int r = 0; r < m; ++r) dots[r * n + c] = _mm512_dpbf16_ps(dots[r * n + c], row, xs[r]);
    }
  }
  if (whole < k) {
    const __mmask32 rest = (1u << (k - whole)) - 1;
    const auto some = [rest](const Bf16* p) { return reinterpret_cast<__m512bh>(_mm512_maskz_loadu_epi16(rest, p)); };
    for (int c = 0; c < n; ++c)
      for (int r = 0; r < m; ++r)
        dots[r * n + c] = _mm512_dpbf16_ps(dots[r * n + c], some(w + c * k + whole), some(x + r * x_stride + whole));
  }
  Floats sums[n * m];
  for (int i = 0; i < n * m; ++i) sums[i] = reinterpret_cast<Floats>(dots[i]);
  float flat[n * m];
  lane_sums<n * m>(sums, flat);
  for (int r = 0; r < m; ++r)
    for (int c = 0; c < n; ++c) out[r * out_stride + c] = flat[r * n + c];
}
#endif

// As many rows of x at once as registers hold; the block of the matrix stays in the first-level cache for the
// other ones.
template <int n, class W, class X>
TEMPLORA_INLINE void block_rows(const W* w, std::int64_t k, const X* x, std::int64_t x_stride, std::int64_t rows,
                                float* out, std::int64_t out_stride) {
  std::int64_t r = 0, number = 0;
  const int slower = rows >= 16 ? 2 : rows >= 8 ? 1 : 0;  // several rounds share in fetching the next block
  const auto some = [&](auto m) {
    constexpr int count = decltype(m)::value;
    for (; r + count <= rows; r += count, ++number) {
      const W* fetch = number < (1 << slower) ? w + n * k + number * (k >> slower) : w;
      block<n, count>(w, k, fetch, slower, x + r * x_stride, x_stride, out + r * out_stride, out_stride);
    }
  };
  if constexpr (kLanes == 16) some(std::integral_constant<int, 4>());
  some(std::integral_constant<int, 2>());
  some(std::integral_constant<int, 1>());
}

template <class W, class X>
TEMPLORA_INLINE void all_dots(const W* w, std::int64_t n, std::int64_t k, const X* x, std::int64_t x_stride,
                              std::int64_t rows, float* out, std::int64_t out_stride) {
  std::int64_t c = 0;
  if (rows == 1)
    for (; c + 8 <= n; c += 8) block<8, 1>(w + c * k, k, w + (c + 8) * k, 0, x, x_stride, out + c, out_stride);
  else
    for (; c + 4 <= n; c += 4) block_rows<4>(w + c * k, k, x, x_stride, rows, out + c, out_stride);
  for (; c < n; ++c) block_rows<1>(w + c * k, k, x, x_stride, rows, out + c, out_stride);
}

void dots_f32(const float* w, std::int64_t n, std::int64_t k, const float* x, std::int64_t x_stride, std::int64_t rows,
              float* out, std::int64_t out_stride) {
  all_dots(w, n, k, x, x_stride, rows, out, out_stride);
}

void dots_bf16(const Bf16* w, std::int64_t n, std::int64_t k, const void* x, std::int64_t x_stride, std::int64_t rows,
               float* out, std::int64_t out_stride) {
#ifdef TEMPLORA_BF16_PAIRS
  all_dots(w, n, k, static_cast<const Bf16*>(x), x_stride, rows, out, out_stride);
#else
  all_dots(w, n, k, static_cast<const float*>(x), x_stride, rows, out, out_stride);
#endif
}

// exp of x in [-87, 0]; see simd.h, whose helpers are not compiled for this instruction set.
TEMPLORA_INLINE float exp_of(float x) {
  const float k = __builtin_floorf(x * 1.44269504089f + 0.5f);
  float f = x - k * 0.693359375f;
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

void softmax(float* scores, std::int64_t n, float scale) {
  float most = scores[0];
#pragma omp simd reduction(max : most)
  for (std::int64_t i = 0; i < n; ++i) most = scores[i] > most ? scores[i] : most;
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (std::int64_t i = 0; i < n; ++i) {
    const float below = scale * (scores[i] - most);
    scores[i] = exp_of(below < -87.0f ? -87.0f : below);
    sum += scores[i];
  }
  const float share = 1.0f / sum;
#pragma omp simd
  for (std::int64_t i = 0; i < n; ++i) scores[i] *= share;
}

// `wide` registers of the result stay in place while all rows of v go by.
template <int wide, class V>
TEMPLORA_INLINE void mix_block(const V* v, std::int64_t n, std::int64_t dim, const float* weights, float* out) {
  Floats sums[wide] = {};
  for (std::int64_t j = 0; j < n; ++j)
    for (int i = 0; i < wide; ++i) sums[i] += load(v + j * dim + i * kLanes) * weights[j];
  std::memcpy(out, sums, sizeof sums);
}

template <class V>
TEMPLORA_INLINE void mix(const V* v, std::int64_t n, std::int64_t dim, const float* weights, float* out) {
  std::int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) mix_block<4>(v + i, n, dim, weights, out + i);
  for (; i + kLanes <= dim; i += kLanes) mix_block<1>(v + i, n, dim, weights, out + i);
  if (i < dim) {
    Floats sum = {};
    for (std::int64_t j = 0; j < n; ++j) sum += load_some(v + j * dim + i, dim - i) * weights[j];
    std::memcpy(out + i, &sum, std::size_t(dim - i) * sizeof(float));
  }
}

void mix_f32(const float* v, std::int64_t n, std::int64_t dim, const float* weights, float* out) {
  mix(v, n, dim, weights, out);
}

void mix_bf16(const Bf16* v, std::int64_t n, std::int64_t dim, const float* weights, float* out) {
  mix(v, n, dim, weights, out);
}

}  // namespace

#ifdef TEMPLORA_BF16_PAIRS
[[maybe_unused]] constexpr bool kPairs = true;
#else
[[maybe_unused]] constexpr bool kPairs = false;
#endif

}  // namespace templora::cpu
