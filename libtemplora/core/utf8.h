#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace templora {

/// Returned by `utf8_error` for text without an error.
inline constexpr std::size_t kValidUtf8 = static_cast<std::size_t>(-1);

/// Bytes of the character that `text` starts with; 0 if it starts with none that is well formed (RFC 3629).
std::size_t utf8_character(std::string_view text);

/// Byte offset of the first sequence that is not UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing
/// past U+10FFFF), or kValidUtf8.
std::size_t utf8_error(std::string_view text);

/// The code point at `at`, which must be a boundary of valid UTF-8; moves `at` behind it.
inline char32_t next_code_point(const char*& at) {
  const auto byte = [&](int i) { return static_cast<char32_t>(static_cast<unsigned char>(at[i])); };
  const char32_t lead = byte(0);
  if (lead < 0x80) return at += 1, lead;
  if (lead < 0xE0) {
    const char32_t value = (lead & 0x1F) << 6 | (byte(1) & 0x3F);
    return at += 2, value;
  }
  if (lead < 0xF0) {
    const char32_t value = (lead & 0x0F) << 12 | (byte(1) & 0x3F) << 6 | (byte(2) & 0x3F);
    return at += 3, value;
  }
  const char32_t value = (lead & 0x07) << 18 | (byte(1) & 0x3F) << 12 | (byte(2) & 0x3F) << 6 | (byte(3) & 0x3F);
  return at += 4, value;
}

/// The character that ends at `at`, of valid UTF-8; moves `at` to its start.
inline char32_t previous_code_point(const char*& at) {
  do --at;
  while ((static_cast<unsigned char>(*at) & 0xC0) == 0x80);
  const char* start = at;
  return next_code_point(start);
}

/// Appends a code point's UTF-8.
void append_utf8(std::string& out, char32_t value);

/// One code point of valid UTF-8 and how many bytes it takes.
struct CodePoint {
  char32_t value;
  std::size_t bytes;
};

/// The code point that starts at `offset`, which must be inside valid UTF-8 and at a boundary.
CodePoint code_point_at(std::string_view text, std::size_t offset);

/// White space as Python's str.strip() and str.split() see it: the Unicode spaces and the separators
/// U+001C to U+001F; neither U+200B nor U+FEFF.
bool is_white_space(char32_t value);

/// Views of valid UTF-8 without leading / trailing / outer white space.
std::string_view strip_left(std::string_view text);
std::string_view strip_right(std::string_view text);
std::string_view strip(std::string_view text);

/// The letters A to Z in lower case; all other bytes as they are.
std::string lower_ascii(std::string_view text);

/// Number of runs of characters that are not white space.
std::int64_t count_words(std::string_view text);

}  // namespace templora
