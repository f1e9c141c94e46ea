#pragma once

#include <cstdint>
#include <vector>

namespace templora {

/// A chunk of a text: tokens [first, first + count).
struct Chunk {
  std::int64_t first;
  std::int64_t count;
  std::int64_t end() const { return first + count; }
};

/// Cuts `token_count` tokens into a first chunk of `first_chunk_tokens` and then chunks of `chunk_tokens`;
/// the last may be short.
std::vector<Chunk> cut_chunks(std::int64_t token_count, std::int64_t chunk_tokens, std::int64_t first_chunk_tokens);

/// A chunk together with what stands before it: tokens [first, first + length) of a text, of which the last
/// `labelled` are predicted.
struct Window {
  std::int64_t first;
  std::int64_t length;
  std::int64_t labelled;
  bool operator==(const Window&) const = default;
};

/// The chunk behind its last `context_tokens` predecessors, clipped at the text's start. Row t-1 of the logits predicts
/// token t: without context the chunk's first token is neither scored nor labelled.
Window window_of(const Chunk& chunk, std::int64_t context_tokens);

}  // namespace templora
