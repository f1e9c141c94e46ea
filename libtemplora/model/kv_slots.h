#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace templora {

/// Keys and values of tokens that several sequences have already read, as the graph uses them: buffers of fixed
/// addresses that a cached forward pass reads and extends. Slot j of a sequence is the j-th token that it sees,
/// which is also the token's rotary position. What may be done with them is generate/kv_cache.h's.
struct KvSlots {
  std::vector<at::Tensor> keys;    ///< per layer [sequences, kv_heads, capacity, head_dim], rotated by slot
  std::vector<at::Tensor> values;  ///< per layer, the same shape
  /// The keys before rotation, for caches whose slots move; empty otherwise.
  std::vector<at::Tensor> plain_keys;
  std::vector<std::int64_t> lengths;  ///< filled slots of each sequence
  std::int64_t capacity = 0;
};

/// Consecutive rows of a cached forward pass: the next `tokens` tokens of one sequence. Rows of several
/// sequences are packed one after another, without padding.
struct Segment {
  std::int64_t sequence;
  std::int64_t tokens;
};

/// Which rows' hidden states a cached forward pass returns.
enum class Rows {
  none,  ///< keys and values only
  last,  ///< the last one of each segment
  all
};

}  // namespace templora
