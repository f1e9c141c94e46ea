#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "model/kv_slots.h"
#include "model/llama.h"

namespace templora {

struct KvCacheOptions {
  std::int64_t sequences = 1;
  /// Tokens that each sequence can hold before the buffers have to grow.
  std::int64_t capacity = 512;
  /// Keep unrotated keys too, so that keep_last() works; costs half as much memory again.
  bool movable = false;
  /// Rows that one forward pass takes at most; a longer append goes in blocks of it.
  std::int64_t block_tokens = 512;
};

/// Tokens that follow what a sequence of a cache holds.
struct Append {
  std::int64_t sequence;
  std::vector<std::int64_t> tokens;
};

/// Keys and values of what several sequences have read, in the model's dtype on its device, so that only new
/// tokens cost a forward pass. Sequences are independent and may have any lengths. Every slot carries a version,
/// the caller's number of the weights that made it; slots made by different versions live side by side.
class KvCache {
 public:
  /// Throws Error(usage) for a model with dynamic rope where the cache may pass its original window: there the
  /// angles of kept keys depend on the length; Error(resources) where the buffers do not fit.
  KvCache(const LlamaImpl& model, const KvCacheOptions& options);

  std::int64_t sequences() const { return std::int64_t(slots_.lengths.size()); }
  std::int64_t length(std::int64_t sequence) const { return slots_.lengths.at(std::size_t(sequence)); }
  std::int64_t capacity() const { return slots_.capacity; }
  /// What is held, for a pass that only reads it (LlamaImpl::forward_behind()).
  const KvSlots& slots() const { return slots_; }
  /// Whether the angles of kept keys do not depend on the capacity: then room can be made ahead.
  bool can_reserve() const { return !config_.angles_grow(); }
  /// The version of each filled slot.
  const std::vector<std::int64_t>& versions(std::int64_t sequence) const { return versions_.at(std::size_t(sequence)); }

  /// Feeds tokens to the model behind what their sequences hold, each sequence at most once, and keeps their keys
  /// and values as made by `version`. Never builds a graph. The adapter that is attached computes with.
  /// → hidden states after the final norm of the asked rows, in the order of `appends`: [rows, hidden]
  /// (undefined for Rows::none). Grows the buffers where needed; throws as the constructor then.
  at::Tensor append(LlamaImpl& model, const std::vector<Append>& appends, Rows rows, std::int64_t version);

  /// One token for each of the first sequences, by device tensors of fixed shape alone, so that a CUDA graph can repeat
  /// it: row i fills slot row_slots[i] of sequence i, which the caller then reports to filled(). Room must be there.
  /// tokens, row_slots: [rows] int64 on the model's device → hidden states after the final norm, [rows, hidden].
  at::Tensor step(LlamaImpl& model, const at::Tensor& tokens, const at::Tensor& row_slots);

  /// Notes that step() has filled the next slot of a sequence, by weights of `version`.
  void filled(std::int64_t sequence, std::int64_t version);

  /// Forgets all but the first `length` slots of a sequence.
  void truncate(std::int64_t sequence, std::int64_t length);

  /// Gives `to` the first `length` slots of `from`, in place of what it held.
  void copy_prefix(std::int64_t from, std::int64_t to, std::int64_t length);

  /// Keeps the first `sinks` and the last `last` slots of a sequence and moves them together: keys are rotated
  /// anew by the slots they now have (StreamingLLM, arXiv 2309.17453). Only for a movable cache.
  void keep_last(std::int64_t sequence, std::int64_t sinks, std::int64_t last);

  /// Makes room for `capacity` tokens a sequence, keeping what is held. The buffers' addresses change.
  void reserve(std::int64_t capacity);

  /// Everything that a later run needs to go on bit for bit: filled slots, lengths and versions, by name.
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;

  /// Takes back what tensors() gave, fetched by name from `stored` (any device). The cache must have been made
  /// with the same model shape, number of sequences and `movable`; throws Error(bad_input) where it was not.
  void restore(const std::function<at::Tensor(const std::string&)>& stored);

 private:
  void allocate(std::int64_t capacity);
  void make_room(const std::vector<Append>& appends);
  std::vector<std::vector<at::Tensor>*> buffers();

  LlamaConfig config_;
  at::TensorOptions tensor_options_;
  KvCacheOptions options_;
  KvSlots slots_;
  std::vector<std::vector<std::int64_t>> versions_;  // by sequence, then slot
};

}  // namespace templora
