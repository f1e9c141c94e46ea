#include "run/token_ids.h"

#include <fmt/format.h>

#include <cstring>

#include "core/error.h"

namespace templora {

std::string token_ids_name(std::int64_t book_index) { return fmt::format("nll/{}-tokens.i32", book_index); }

std::vector<std::int32_t> scored_ids(const std::vector<ChunkRecord>& chunks, std::int64_t book_index,
                                     const std::vector<std::int64_t>& tokens) {
  std::vector<std::int32_t> ids;
  for (const ChunkRecord& chunk : chunks) {
    if (chunk.book_index != book_index) continue;
    const std::int64_t end = chunk.first_token + chunk.tokens;
    if (chunk.first_token < 0 || end > static_cast<std::int64_t>(tokens.size()))
      throw Error(Exit::bad_input, fmt::format("{}: chunk {} ends at token {}, wanted {} at most, as the text has",
                                               token_ids_name(book_index), chunk.chunk, end, tokens.size()));
    for (std::int64_t t = end - chunk.scored_tokens; t < end; ++t)
      ids.push_back(static_cast<std::int32_t>(tokens[static_cast<std::size_t>(t)]));
  }
  return ids;
}

void write_token_ids(const fs::path& run, std::int64_t book_index, const std::vector<std::int32_t>& ids) {
  std::string bytes(ids.size() * sizeof(std::int32_t), '\0');
  std::memcpy(bytes.data(), ids.data(), bytes.size());
  write_file_atomically(run / token_ids_name(book_index), bytes);
}

std::vector<std::int32_t> read_token_ids(const fs::path& run, std::int64_t book_index) {
  const fs::path file = run / token_ids_name(book_index);
  const std::string bytes = read_file(file);
  if (bytes.size() % sizeof(std::int32_t) != 0)
    throw Error(Exit::bad_input, fmt::format("{}: got {} bytes, wanted a multiple of {}", file.string(), bytes.size(),
                                             sizeof(std::int32_t)));
  std::vector<std::int32_t> ids(bytes.size() / sizeof(std::int32_t));
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  return ids;
}

}  // namespace templora
