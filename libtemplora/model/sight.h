#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "config/layer_spec.h"

namespace templora {

/// What is added to the scores of rows of queries: 0 where one sees the key, minus infinity elsewhere (sees(),
/// config/layer_spec.h).
/// slots: [rows] int64, the queries' own; the keys are those of slots first_key … first_key + keys - 1.
/// → [rows, keys] of `options`.
at::Tensor sight_mask(const at::Tensor& slots, std::int64_t first_key, std::int64_t keys, std::int64_t window,
                      const at::TensorOptions& options);

/// The same for queries in the slots held … held + rows - 1 over all keys that one of them sees, first_seen(held,
/// window) the first of them. → [rows, keys].
at::Tensor sight_mask_behind(std::int64_t held, std::int64_t rows, std::int64_t window,
                             const at::TensorOptions& options);

/// Attention of a whole sequence over itself, where a query sees `window` keys, or of its last rows over all of it.
/// Where something is hidden from a row, blocks of queries see the keys of their windows only, so time and memory grow
/// with rows · window. q: [batch, heads, rows, head_dim]; k, v: [batch, heads, seq, head_dim], rows at most seq → as q.
/// Differentiable.
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t window);

}  // namespace templora
