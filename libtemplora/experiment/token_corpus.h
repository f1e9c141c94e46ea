#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace templora {

/// Texts as one stream of token ids, each text beginning with BOS where the tokenizer adds one.
struct TokenCorpus {
  std::vector<std::int32_t> tokens;
  std::int64_t text_bytes = 0;  ///< UTF-8 bytes that the tokens stand for
  std::int64_t texts = 0;
  std::string hash;             ///< of the ids, in order
  std::vector<std::string> text_hashes;  ///< of each text's ids, in order
};

/// Reads texts as read_book() does and joins their ids. With `cache`, a folder, each text's ids are kept there
/// under the hash of its bytes and of the tokenizer, and found again: a hundred megabytes take minutes to encode.
/// A cache that cannot be written is reported once and done without. Throws Error(bad_input) as read_book()
/// does; Error(interrupted) once a signal came.
TokenCorpus read_corpus(const std::vector<std::filesystem::path>& texts, const Tokenizer& tokenizer, bool strip,
                        const std::optional<std::filesystem::path>& cache);

/// The paths whose file names match none of `exclude` (names or globs of names). Throws Error(usage) naming a
/// pattern that matches none of them.
std::vector<std::filesystem::path> without(const std::vector<std::filesystem::path>& paths,
                                           const std::vector<std::string>& exclude);

/// The order in which sequences are drawn: every pass over `sequences` of them is a permutation of its own,
/// made from `seed` and the number of the pass alone, so that place `i` of the whole training needs no history.
class SequenceOrder {
 public:
  SequenceOrder(std::int64_t sequences, std::uint64_t seed);
  /// Index of the sequence at place `i` = 0, 1, ….
  std::int64_t at(std::int64_t i);

 private:
  std::int64_t sequences_;
  std::uint64_t seed_;
  std::int64_t pass_ = -1;
  std::vector<std::int64_t> permutation_;
};

}  // namespace templora
