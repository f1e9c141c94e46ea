#pragma once

#include <cstdint>
#include <vector>

#include "run/config.h"

namespace templora {

/// Tokens that are fed to a cache which holds `held` slots already.
struct Fed {
  std::int64_t tokens;
  std::int64_t held;
};

/// What a kept cache does chunk by chunk, in numbers alone: the same rules as ContextCache (experiment/context_cache.h),
/// without a model.
class CachePlan {
 public:
  explicit CachePlan(const Config& config);

  /// Makes ready for `next` tokens behind the first `end` of a text. → passes that this takes.
  std::vector<Fed> open(std::int64_t end, std::int64_t next);
  /// Tokens in sight.
  std::int64_t visible() const { return visible_; }
  /// The chunk [first, first + count) is scored behind what is visible, and kept. → its pass; none has tokens 0.
  Fed score(std::int64_t first, std::int64_t count);
  /// Tokens up to `end` were decoded and kept.
  void written(std::int64_t end);

  /// As if the first `end` tokens had been read: the window is full. Only for last_n, whose state is then always the same.
  void assume_read(std::int64_t end);

  /// Most tokens that the cache holds at once: what is seen before a chunk, and the chunk.
  static std::int64_t capacity(const Config& config);
  /// Tokens of a text's first pass with last_n: of a first chunk that is longer than the others where chunks are scored.
  static std::int64_t first_piece(const Config& config);
  /// L_X: window.context_tokens, or train.prefix_tokens.
  static std::int64_t context_tokens(const Config& config);
  /// W: cache.window_tokens, or L_X + Δ.
  static std::int64_t window_tokens(const Config& config);

 private:
  void feed(std::int64_t end, std::vector<Fed>& fed);
  void trim(std::int64_t next);
  std::int64_t held() const { return visible_ == 0 ? 0 : visible_ - 1; }

  const Config& config_;
  std::int64_t window_tokens_;
  std::int64_t visible_ = 0;  // tokens in sight; all but the last are held
  std::int64_t end_ = 0;      // of the text that is in sight
  std::int64_t chunks_since_rebuild_ = 0;
};

}  // namespace templora
