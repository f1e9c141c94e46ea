#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/file.h"
#include "run/record.h"

// score.keep_tokens: which token each NLL is of.

namespace templora {

/// "nll/0-tokens.i32": raw little-endian int32, one id for each value of the book's NLL files.
std::string token_ids_name(std::int64_t book_index);

/// Ids of the tokens that a book's chunks scored, in the order of its NLLs; `tokens` are all of the book's. Chunks of
/// other books are passed over. Throws Error(bad_input) where a chunk lies outside the book.
std::vector<std::int32_t> scored_ids(const std::vector<ChunkRecord>& chunks, std::int64_t book_index,
                                     const std::vector<std::int64_t>& tokens);

/// Writes the file in a run's folder. Throws Error(resources).
void write_token_ids(const fs::path& run, std::int64_t book_index, const std::vector<std::int32_t>& ids);

/// Reads it. Throws Error(bad_input) where it is missing, or its size is no multiple of 4.
std::vector<std::int32_t> read_token_ids(const fs::path& run, std::int64_t book_index);

}  // namespace templora
