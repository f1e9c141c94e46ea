#pragma once

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"
#include "core/json.h"
#include "generate/kv_cache.h"
#include "model/llama.h"
#include "plan/cache_plan.h"
#include "run/record.h"
#include "train/chunk_trainer.h"

namespace templora {

/// What one arm or writer sees before a chunk, kept as keys and values from chunk to chunk: carries out the steps of
/// CachePlan, which knows `cache.policy`. A slot keeps the version of the adapter that made it. The adapter that is
/// attached when a method is called computes; `version` is its number.
class ContextCache {
 public:
  /// Throws Error(usage) where the model cannot keep keys (dynamic rope), Error(resources) without memory.
  ContextCache(LlamaImpl& model, const Config& config);

  /// Makes ready for the `next` tokens that follow the first `end` of `text`: forgets, rebuilds or moves what the
  /// policy says. Afterwards the cache holds every visible token but the last one, which the next pass feeds.
  /// `text` may have grown since the last call, but not changed. → tokens in sight before the chunk.
  std::int64_t open(const std::vector<std::int64_t>& text, std::int64_t end, std::int64_t next, std::int64_t version);

  /// A pass over the chunk by what is attached, behind what was in sight when open() was done, whether or not the chunk
  /// was kept since: its NLLs as score() has them. The last token in sight is computed once more, as it predicts the
  /// chunk's first one; nothing is stored (LlamaImpl::forward_behind()). Until the next open().
  NllPass pass_behind(const std::vector<std::int64_t>& text, const Chunk& chunk) const;
  /// Drops what decoding has put behind that.
  void rewind();

  /// Tokens that the next chunk sees before it.
  std::int64_t context_tokens() const { return std::int64_t(visible_.size()); }
  const std::vector<std::int64_t>& visible() const { return visible_; }

  /// After open(): NLLs of the chunk's tokens, nats, [count] float32 (count - 1 without context: then its first
  /// token has nothing before it); undefined where that is none. Keeps the chunk in the cache.
  at::Tensor score(const std::vector<std::int64_t>& text, const Chunk& chunk, std::int64_t version);

  /// Hidden states that the last score() predicted its tokens from, [count, hidden]; undefined where there were none.
  const at::Tensor& scored_states() const { return hidden_; }

  /// After a chunk was written by decoding with cache(), which keeps all but its last token.
  void written(const std::vector<std::int64_t>& text, std::int64_t end);

  /// After score() of chunk number `index`: the same tokens once more with keys and values that today's adapter made,
  /// under the same mask. Nothing is changed. None without context.
  std::optional<StalenessRecord> measure_staleness(const std::vector<std::int64_t>& text,
                                                   const std::vector<Chunk>& chunks, std::size_t index,
                                                   std::int64_t version);

  KvCache& cache() { return cache_; }

  /// For resume, bit for bit.
  Json state() const;
  std::vector<std::pair<std::string, at::Tensor>> tensors() const;
  void restore(const Json& state, const std::vector<std::int64_t>& text,
               const std::function<at::Tensor(const std::string&)>& stored);

 private:
  /// → the hidden rows of a pass that asks for rows, else undefined.
  at::Tensor carry_out(const CacheStep& step, const std::vector<std::int64_t>& text, Rows rows, std::int64_t version);
  /// Carries out steps whose last one, if it feeds, scores. → NLLs of the tokens behind its own.
  at::Tensor score(const std::vector<CacheStep>& steps, const std::vector<std::int64_t>& text, std::int64_t version);
  at::Tensor ids_of(const std::vector<std::int64_t>& text, std::int64_t first, std::int64_t count) const;
  /// Tokens [first, end) come into sight.
  void see(const std::vector<std::int64_t>& text, std::int64_t first, std::int64_t end);

  LlamaImpl& model_;
  const Config& config_;
  CachePlan plan_;
  KvCache cache_;
  std::vector<std::int64_t> positions_;  // in the text, of every visible token: those held, then the last one
  std::vector<std::int64_t> visible_;    // their ids
  std::vector<std::int64_t> ages_;       // of the slots that the chunk sees, in versions; set by open()
  /// Slots of the tokens that were in sight when open() was done, all but the last; they stay until the next open().
  std::int64_t opened_slots() const { return std::max<std::int64_t>(0, opened_tokens_ - 1); }

  std::int64_t opened_tokens_ = 0;
  at::Tensor hidden_;                    // [scored rows, hidden] of the last score()
};

}  // namespace templora
