#include "train/softmax_kernel.h"

#include <cmath>
#include <vector>

#include "model/simd.h"

namespace templora::cpu {
namespace {

// exp of a number that is not above 0; 0 below e^-87.
inline float exp_of_negative(float x) {
  const bool tiny = x < -87.0f;
  const float e = exp_in_range(tiny ? -87.0f : x);
  return tiny ? 0.0f : e;
}

template <class R>
[[gnu::always_inline]] inline double softmax_row(R* row, std::int64_t target, float* wide, std::int64_t vocab,
                                                 float scale) {
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
double softmax_nll_gradient(T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocab,
                            float scale) {
  std::vector<float> wide(static_cast<std::size_t>(vocab));
  return softmax_rows(raw(logits), targets, wide.data(), rows, vocab, scale);
}

template <class T>
void add_rows(const T* rows, const std::int64_t* ids, float* table, std::int64_t count, std::int64_t n) {
  add_all_rows(raw(rows), ids, table, count, n);
}

template double softmax_nll_gradient(float*, const std::int64_t*, std::int64_t, std::int64_t, float);
template double softmax_nll_gradient(at::BFloat16*, const std::int64_t*, std::int64_t, std::int64_t, float);
template void add_rows(const float*, const std::int64_t*, float*, std::int64_t, std::int64_t);
template void add_rows(const at::BFloat16*, const std::int64_t*, float*, std::int64_t, std::int64_t);

}  // namespace templora::cpu
