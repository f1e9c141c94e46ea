#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// A Chinese sentence and its English translation.
struct SentencePair {
  std::string zh;
  std::string en;
};

/// Whether one side holds nothing but white space. Such a pair stays in the text that the model sees and learns, as
/// an empty line, but there is nothing to translate or nothing to compare with: it is neither translated nor scored.
bool has_empty_side(const SentencePair& pair);

/// A record of a GuoFeng file: the pairs of one chunk and what the file gives as their context.
struct NovelChunk {
  std::vector<SentencePair> context;  ///< the pairs before the chunk, oldest first
  std::vector<SentencePair> pairs;    ///< the file's "inference"
};

/// A novel cut into consecutive chunks.
struct Novel {
  std::string name;       ///< file name
  std::string text_hash;  ///< of the file
  std::vector<NovelChunk> chunks;
};

/// Reads a GuoFeng file (`.train`, `.eval`): a JSON array of records {"contexts": {"k1": [pair…], "k3": [pair…]},
/// "inference": [pair…]}, a pair being {"zh": …, "en": …}. Every record is checked; the context called `context`
/// is kept. Other keys are ignored. `max_chunks` keeps the first records only, 0 all. Sentences are kept as they
/// stand; a side may be empty (has_empty_side), but not absent.
/// Throws Error(bad_input) naming file, record (from 0) and field, or line and column where it is not JSON: a missing
/// or null side of a pair, a wrong type, a chunk without pairs, a file without records.
Novel read_novel(const std::filesystem::path& path, const std::string& context, std::int64_t max_chunks);

/// The element (from 0) of a JSON array that byte `offset` of its text stands in or behind; none where the array has
/// not begun before it, or the text is no array. What follows the offset is not looked at: it need not be JSON.
std::optional<std::int64_t> array_element_at(std::string_view text, std::size_t offset);

}  // namespace templora
