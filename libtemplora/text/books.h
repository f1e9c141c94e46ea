#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace templora {

/// A book as token ids, ready to be cut into chunks.
struct Book {
  std::string name;                  ///< file name
  std::string text_hash;             ///< of the normalised text, before tokenising
  std::string source_hash;           ///< of the file's own text where it was changed before it was read; else ""
  std::string read_hash;             ///< of the file's own text as far as `tokens` go
  std::vector<std::int64_t> tokens;  ///< BOS first where the tokenizer adds one
  std::int64_t text_bytes = 0;       ///< UTF-8 bytes of the text that `tokens` stand for
  std::int64_t words = 0;            ///< white-space separated words in it (PG-19's word-level convention)
  std::string text;                  ///< that text; in books that a test makes of ids, none
  std::vector<std::size_t> ends;     ///< byte of it at which each token ends

  const std::string& source() const { return source_hash.empty() ? text_hash : source_hash; }
  /// What tells whether two books are of the same text, as far as it is read.
  const std::string& same_text() const { return read_hash.empty() ? source() : read_hash; }
  /// The bytes of tokens [first, first + count). A character that tokens share counts as the last one's.
  std::string_view text_of(std::int64_t first, std::int64_t count) const;
};

struct BookOptions {
  bool strip = true;             ///< remove outer white space of the whole book, as the released code does
  std::int64_t max_tokens = 0;   ///< keep this many first tokens; 0 keeps all
};

/// Reads one book as Python's open(path, encoding="utf-8") and str.strip() do: UTF-8 checked, a byte order
/// mark kept as the character it is, CRLF and CR made LF, optionally stripped, tokenised once.
/// `text_bytes` and `words` cover the kept tokens only: the text up to where the last of them ends (see
/// Tokenizer::encode_with_ends); a word that is cut there counts.
/// Throws Error(bad_input): unreadable, not UTF-8 (byte offset named), nothing but white space.
Book read_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const BookOptions& options);

}  // namespace templora
