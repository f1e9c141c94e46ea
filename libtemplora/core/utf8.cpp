#include "core/utf8.h"

namespace templora {

namespace {

unsigned byte_at(std::string_view text, std::size_t offset) { return static_cast<unsigned char>(text[offset]); }

/// Bytes of the sequence that `lead` starts; 0 if nothing starts with it.
std::size_t sequence_bytes(unsigned lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool is_continuation(unsigned byte) { return (byte & 0xC0) == 0x80; }

}  // namespace

std::size_t utf8_character(std::string_view text) {
  if (text.empty()) return 0;
  const unsigned lead = byte_at(text, 0);
  const std::size_t bytes = sequence_bytes(lead);
  if (bytes == 0 || bytes > text.size()) return 0;
  for (std::size_t i = 1; i < bytes; ++i)
    if (!is_continuation(byte_at(text, i))) return 0;
  if (bytes <= 2) return bytes;
  // The second byte decides about overlong forms, surrogates and values past U+10FFFF.
  const unsigned second = byte_at(text, 1);
  const bool wrong = (lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                     (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F);
  return wrong ? 0 : bytes;
}

std::size_t utf8_error(std::string_view text) {
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t bytes = utf8_character(text.substr(offset));
    if (bytes == 0) return offset;
    offset += bytes;
  }
  return kValidUtf8;
}

void append_utf8(std::string& out, char32_t value) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(static_cast<unsigned char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | value >> 6);
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    put(0xE0 | value >> 12);
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    put(0xF0 | value >> 18);
    put(0x80 | (value >> 12 & 0x3F));
    put(0x80 | (value >> 6 & 0x3F));
    put(0x80 | (value & 0x3F));
  }
}

CodePoint code_point_at(std::string_view text, std::size_t offset) {
  const char* const start = text.data() + offset;
  const char* at = start;
  const char32_t value = next_code_point(at);
  return {value, static_cast<std::size_t>(at - start)};
}

bool is_white_space(char32_t value) {
  return (value >= 0x09 && value <= 0x0D) || (value >= 0x1C && value <= 0x20) || value == 0x85 || value == 0xA0 ||
         value == 0x1680 || (value >= 0x2000 && value <= 0x200A) || value == 0x2028 || value == 0x2029 ||
         value == 0x202F || value == 0x205F || value == 0x3000;
}

std::string_view strip_left(std::string_view text) {
  std::size_t offset = 0;
  while (offset < text.size()) {
    const CodePoint point = code_point_at(text, offset);
    if (!is_white_space(point.value)) break;
    offset += point.bytes;
  }
  return text.substr(offset);
}

std::string_view strip_right(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && is_continuation(byte_at(text, start))) --start;
    if (!is_white_space(code_point_at(text, start).value)) break;
    end = start;
  }
  return text.substr(0, end);
}

std::string_view strip(std::string_view text) { return strip_left(strip_right(text)); }

std::int64_t count_words(std::string_view text) {
  std::int64_t words = 0;
  bool inside = false;
  for (std::size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    const bool space = is_white_space(point.value);
    if (!space && !inside) ++words;
    inside = !space;
    offset += point.bytes;
  }
  return words;
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace templora
