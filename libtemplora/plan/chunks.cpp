#include "plan/chunks.h"

#include <algorithm>

#include "core/check.h"

namespace templora {

std::vector<Chunk> cut_chunks(std::int64_t token_count, std::int64_t chunk_tokens, std::int64_t first_chunk_tokens) {
  TEMPLORA_CHECK(token_count >= 0 && chunk_tokens > 0 && first_chunk_tokens > 0, "chunks have tokens");
  std::vector<Chunk> chunks;
  for (std::int64_t first = 0; first < token_count;) {
    const std::int64_t wanted = chunks.empty() ? first_chunk_tokens : chunk_tokens;
    chunks.push_back({first, std::min(wanted, token_count - first)});
    first = chunks.back().end();
  }
  return chunks;
}

Window window_of(const Chunk& chunk, std::int64_t context_tokens) {
  const std::int64_t context = std::min(context_tokens, chunk.first);
  return {chunk.first - context, context + chunk.count, context > 0 ? chunk.count : chunk.count - 1};
}

}  // namespace templora
