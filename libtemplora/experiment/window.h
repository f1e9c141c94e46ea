#pragma once

#include <algorithm>
#include <cstdint>

#include "text/books.h"

namespace templora {

/// A chunk together with what stands before it: tokens [first, first + length) of a book, of which the last
/// `labelled` are predicted.
struct Window {
  std::int64_t first;
  std::int64_t length;
  std::int64_t labelled;
};

/// The chunk behind its last `context_tokens` predecessors, clipped at the document's start. Row t-1 of the
/// logits predicts token t: without context the chunk's first token is neither scored nor labelled.
inline Window window_of(const Chunk& chunk, std::int64_t context_tokens) {
  const std::int64_t context = std::min(context_tokens, chunk.first);
  return {chunk.first - context, context + chunk.count, context > 0 ? chunk.count : chunk.count - 1};
}

inline bool operator==(const Window& a, const Window& b) {
  return a.first == b.first && a.length == b.length && a.labelled == b.labelled;
}

}  // namespace templora
