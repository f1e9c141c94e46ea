#pragma once

#include <cstdint>

namespace templora::cpu {

/// Turns each row of logits into the gradient of its cross-entropy, in place, and sums the losses.
/// logits: [rows, vocab], float or at::BFloat16; targets: [rows]. After the call logits hold
/// (softmax - one_hot(target)) · scale. → Σ over rows of the NLL in nats. float32 arithmetic, float64 sum;
/// one thread.
template <class T>
double softmax_nll_gradient(T* logits, const std::int64_t* targets, std::int64_t rows, std::int64_t vocab, float scale);

/// table[ids[r]] += rows[r]: the gradient of an embedding, summed in float32 in the order of the rows.
/// rows: [count, n], float or at::BFloat16; table: [vocab, n].
template <class T>
void add_rows(const T* rows, const std::int64_t* ids, float* table, std::int64_t count, std::int64_t n);

}  // namespace templora::cpu
