#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "generate/kv_cache.h"

namespace templora {

/// Number of leading tokens that two texts share.
std::int64_t common_prefix(const std::vector<std::int64_t>& a, const std::vector<std::int64_t>& b);

/// Prompts in a cache, one sequence each, where what begins as another prompt did is copied and not computed again.
/// For one state of the weights: once they change, all is to be forgotten.
class PromptCache {
 public:
  /// Errors as KvCache's.
  PromptCache(const LlamaImpl& model, const KvCacheOptions& options)
      : cache_(model, options), block_tokens_(options.block_tokens) {}

  /// Makes sequence i hold all tokens of prompts[i] but the last one, which the next decoding or scoring step feeds.
  /// The last prompt begins with what it shares with the last one of the call before, every other with what it shares
  /// with the last one: where each prompt is the one before and a line more, that is as much as any can share.
  /// → tokens computed for each prompt, or nothing where `interrupted`, which is asked every few blocks, said so: then
  /// all is forgotten.
  std::optional<std::vector<std::int64_t>> read(LlamaImpl& model,
                                                const std::vector<std::vector<std::int64_t>>& prompts,
                                                std::int64_t version, const std::function<bool()>& interrupted = {});

  /// The weights are others from now on: nothing that is held serves a prompt any more.
  void forget() { last_.clear(); }

  /// Where the prompts are; what follows them is the caller's to append.
  KvCache& cache() { return cache_; }

 private:
  KvCache cache_;
  std::int64_t block_tokens_;
  std::vector<std::int64_t> last_;  // the last prompt of the call before, which stands in sequence holder_
  std::int64_t holder_ = 0;
};

}  // namespace templora
