#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <vector>

namespace templora {

/// How much a chunk of a text repeats, counted in token ids.
struct TextStatistics {
  /// Share of the chunk's 4-grams that occurred in the text before, this chunk's own earlier ones included; a
  /// chunk's first 4-grams reach back into the text. 0 where there is none.
  double repeated_4grams = 0;
  /// Different n-grams of the chunk over all n-grams of the chunk, n = 1, 2, 3, 4; 1 where there is none.
  double distinct[4] = {1, 1, 1, 1};
};

/// Counts a growing text chunk by chunk.
class RepetitionCounter {
 public:
  /// Tokens that are there but are no chunk: a prompt.
  void add_context(std::span<const std::int64_t> tokens);
  TextStatistics add_chunk(std::span<const std::int64_t> tokens);

 private:
  std::vector<std::int64_t> tail_;                  // last 3 tokens
  std::set<std::vector<std::int64_t>> seen_;        // 4-grams of the whole text
};

}  // namespace templora
