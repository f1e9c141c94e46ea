#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"
#include "plan/chunks.h"

namespace templora {

/// A fact that is asked for at some point of a book.
struct AskedFact {
  std::size_t fact = 0;
  std::int64_t distance_tokens = 0;  ///< of recall.ask_after_tokens
  std::int64_t tokens_since = 0;     ///< tokens since its last mention left the window: at least distance_tokens
  bool operator==(const AskedFact&) const = default;
};

/// When which planted fact is asked for: for each distance at the end of the first chunk that lies so many tokens
/// behind the point where the last mention left the window of the last L_X tokens. A book that ends before that leaves
/// the fact unasked.
class RecallPlan {
 public:
  /// `ends[i]` is the token behind fact i's last mention; facts with a negative one are never asked for.
  RecallPlan(const Config& config, const std::vector<Chunk>& chunks, const std::vector<std::int64_t>& ends);

  /// What is asked for after chunk number `index` was learnt, by distance, then by fact.
  const std::vector<AskedFact>& after(std::int64_t index) const { return after_.at(std::size_t(index)); }
  /// How many questions of a distance there are in the book.
  std::int64_t asked(std::int64_t distance_tokens) const;

 private:
  std::vector<std::vector<AskedFact>> after_;  // by chunk
};

}  // namespace templora
