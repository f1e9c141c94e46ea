#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "model/kv_slots.h"

namespace templora {

/// Key and value heads repeated for the query heads that share them. Some attention kernels fall back to a slow
/// path when asked to do this themselves. x: [batch, kv_heads, seq, head_dim] → [batch, kv_heads · times, seq,
/// head_dim].
at::Tensor repeat_heads(const at::Tensor& x, std::int64_t times);

/// What all layers of one cached pass share.
struct CachedPass {
  const std::vector<Segment>& segments;
  KvSlots& slots;
  at::Tensor row_sequences;       ///< [rows] int64: whose row it is
  at::Tensor row_slots;           ///< [rows] int64: the slot that it fills, which is its position
  at::Tensor last_rows;           ///< [segments] int64: the last row of each
  /// By window, then by segment: [1, 1, tokens, slots that are seen] of the model's dtype; undefined if not needed.
  std::map<std::int64_t, std::vector<at::Tensor>> masks;
  /// Of a step_pass(), by window: [rows, 1, 1, capacity] of the model's dtype; empty else.
  std::map<std::int64_t, at::Tensor> slot_masks;
};

/// Describes the pass that adds `segments` to `slots`, for layers of these windows. Throws nothing; a segment that does
/// not fit is a bug.
CachedPass cached_pass(const std::vector<Segment>& segments, KvSlots& slots, const std::set<std::int64_t>& windows,
                       const at::TensorOptions& options);

/// Describes the pass that adds one token to each of the first sequences of `slots`, whose lengths it does not look at:
/// row i fills slot row_slots[i] of sequence i and sees the slots up to it that its layer's window holds. Its shapes
/// and addresses depend on nothing but the number of rows, so a CUDA graph can repeat it. row_slots: [rows] int64 on
/// the model's device.
CachedPass step_pass(KvSlots& slots, const at::Tensor& row_slots, const std::set<std::int64_t>& windows,
                     const at::TensorOptions& options);

/// Writes this pass's keys and values into their slots.
/// keys, plain_keys, values: [rows, kv_heads, head_dim] with any row stride.
void store_rows(const CachedPass& pass, std::size_t layer, const at::Tensor& keys, const at::Tensor& plain_keys,
                const at::Tensor& values);

/// Attention of each row, or of the last of each segment, over the slots of its sequence that it sees through `window`,
/// which store_rows() has filled. queries: [rows, heads, head_dim] with any row stride → [asked rows, heads ·
/// head_dim].
at::Tensor cached_attention(const CachedPass& pass, std::size_t layer, std::int64_t window, const at::Tensor& queries,
                            Rows rows);

}  // namespace templora
