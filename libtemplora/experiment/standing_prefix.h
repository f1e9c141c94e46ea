#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>

#include "config/config.h"
#include "generate/kv_cache.h"
#include "model/llama.h"

namespace templora {

/// What stands before a chunk in a window, as keys and values that are made without a graph: for lora.rows "chunk" by
/// the base, for train.prefix_gradient false by the adapter that is attached. The chunk's own rows are then computed
/// behind constants.
class StandingPrefix {
 public:
  /// Throws as KvCache does.
  StandingPrefix(LlamaImpl& model, const Config& config);

  /// NLLs of the last `labelled` of `window`, which follow the keys of the others, made anew at each call. With a graph
  /// where grad mode is on. → [labelled] float32, nats.
  at::Tensor nll(std::span<const std::int64_t> window, std::int64_t labelled);

 private:
  LlamaImpl& model_;
  bool by_base_;
  KvCache cache_;
};

}  // namespace templora
