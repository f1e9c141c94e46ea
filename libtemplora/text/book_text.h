#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "text/books.h"

namespace templora {

// The two halves of read_book(), for a text that is changed between them.

/// The text of a book as read_book() tokenises it. Throws Error(bad_input) as that does.
std::string read_book_text(const std::filesystem::path& path, bool strip);

/// A book of normalised text, tokenised once; of it the first `max_tokens` tokens, or all where that is 0.
Book book_of_text(const std::string& name, std::string_view text, const Tokenizer& tokenizer, std::int64_t max_tokens);

}  // namespace templora
