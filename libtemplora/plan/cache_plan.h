#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "plan/chunks.h"

namespace templora {

/// One thing that a kept cache does. All tokens in sight but the last one have a slot; the last one opens the next
/// pass.
struct CacheStep {
  enum class Kind {
    forget, ///< nothing is in sight
    start,  ///< token `first` of the text comes into sight, where nothing was; it has no slot yet
    drop,   ///< `tokens` slots behind the first `first` ones go
    feed,   ///< tokens [first, first + tokens) of the text get a slot each; the token behind them comes into sight
  };
  Kind kind;
  std::int64_t first;
  std::int64_t tokens;
  std::int64_t held;  ///< slots before the step
};

/// What cache.policy does with kept keys and values, chunk by chunk, in numbers alone. Whoever holds keys carries the
/// steps out; whoever prices or checks a run counts them.
class CachePlan {
 public:
  explicit CachePlan(const Config& config) : config_(&config) {}

  /// Makes ready for `next` tokens behind the first `end` of a text.
  std::vector<CacheStep> open(std::int64_t end, std::int64_t next);
  /// After open(): the chunk is scored behind what is in sight, and kept. The feed at the end is the pass that scores:
  /// one token of the chunk less where nothing is in sight; no feed where then nothing is left.
  std::vector<CacheStep> score(const Chunk& chunk);
  /// After open(): tokens up to `end` were written by decoding, and kept.
  void written(std::int64_t end);

  /// Tokens in sight.
  std::int64_t visible() const { return visible_; }
  /// Slots: all in sight but the last.
  std::int64_t held() const { return visible_ == 0 ? 0 : visible_ - 1; }

  std::int64_t chunks_since_rebuild() const { return chunks_since_rebuild_; }
  /// Of a resumed run: `visible` tokens up to token `end` of the text are in sight.
  void restore(std::int64_t visible, std::int64_t end, std::int64_t chunks_since_rebuild);
  /// As if the first `end` tokens had been read: the window is full. Only for last_n, whose state is then always the
  /// same.
  void assume_read(std::int64_t end);

  /// Most tokens that the cache holds at once: what is seen before a chunk, and the chunk.
  static std::int64_t capacity(const Config& config);

 private:
  bool rebuilds(std::int64_t end, std::int64_t next) const;
  void feed(std::int64_t end, std::vector<CacheStep>& steps);
  void trim(std::int64_t next, std::vector<CacheStep>& steps);
  void start(std::int64_t first, std::vector<CacheStep>& steps);

  const Config* config_;
  std::int64_t visible_ = 0;
  std::int64_t end_ = 0;  // of the text that is in sight
  std::int64_t chunks_since_rebuild_ = 0;
};

/// What an empty cache does to see chunk number `index` as the kept one saw it, `visible` tokens before it, with every
/// key made anew; the last step scores the chunk. With last_n the mask is the policy's own history, which is gone
/// through again. None where nothing was in a slot.
std::vector<CacheStep> fresh_steps(const Config& config, const std::vector<Chunk>& chunks, std::size_t index,
                                   std::int64_t visible);

}  // namespace templora
