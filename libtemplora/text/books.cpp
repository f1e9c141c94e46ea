#include "text/book_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/utf8.h"

namespace templora {

namespace {

std::string with_line_feeds(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      out += text[i];
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      out += '\n';
    }
  }
  return out;
}

}  // namespace

std::string read_book_text(const std::filesystem::path& path, bool strip_ends) {
  // Records are JSON, which can only hold a name in UTF-8.
  if (utf8_error(path.native()) != kValidUtf8) {
    throw Error(Exit::bad_input,
                fmt::format("{}: got a name with bytes that are not UTF-8, wanted UTF-8; rename the file or its folder",
                            shown_path(path)));
  }
  const std::string raw = read_file(path);
  if (const std::size_t offset = utf8_error(raw); offset != kValidUtf8) {
    throw Error(Exit::bad_input, fmt::format("{}: byte {}: got 0x{:02x}, wanted UTF-8 text; convert the book with "
                                             "iconv",
                                             path.string(), offset, static_cast<unsigned char>(raw[offset])));
  }
  std::string text = with_line_feeds(raw);
  if (strip_ends) text = std::string(strip(text));
  if (strip(text).empty()) {
    throw Error(Exit::bad_input, fmt::format("{}: got a book of {} bytes without a word, wanted text; remove it from "
                                             "data.books",
                                             path.string(), raw.size()));
  }
  return text;
}

std::string_view Book::text_of(std::int64_t first, std::int64_t count) const {
  if (count == 0) return {};
  const std::size_t begin = first == 0 ? 0 : ends.at(std::size_t(first) - 1);
  return std::string_view(text).substr(begin, ends.at(std::size_t(first + count) - 1) - begin);
}

Book book_of_text(const std::string& name, std::string_view text, const Tokenizer& tokenizer, std::int64_t max_tokens) {
  EncodedText encoded = tokenizer.encode_with_ends(text, true);
  Book book;
  book.name = name;
  book.text_hash = hash_hex(text);
  std::size_t bytes = text.size();
  if (max_tokens > 0 && static_cast<std::size_t>(max_tokens) < encoded.ids.size()) {
    encoded.ids.resize(static_cast<std::size_t>(max_tokens));
    bytes = encoded.ends[encoded.ids.size() - 1];
  }
  encoded.ends.resize(encoded.ids.size());
  book.tokens = std::move(encoded.ids);
  book.text_bytes = static_cast<std::int64_t>(bytes);
  book.text = text.substr(0, bytes);
  book.ends = std::move(encoded.ends);
  book.read_hash = hash_hex(book.text);
  book.words = count_words(book.text);
  return book;
}

Book read_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const BookOptions& options) {
  return book_of_text(path.filename().string(), read_book_text(path, options.strip), tokenizer, options.max_tokens);
}

}  // namespace templora
