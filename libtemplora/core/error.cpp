#include "core/error.h"

#include "core/utf8.h"

namespace templora {

namespace {

/// Characters that are no part of a line: control characters (of which U+0085 ends one), line and paragraph separators,
/// and what changes the direction of the text around it.
bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || (c >= 0x2028 && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069);
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += (text.empty() ? "" : "\n") + printable(line, std::string::npos);
  return text;
}

}  // namespace

Error::Error(Exit exit_code, const std::string& message)
    : std::runtime_error(printable(message, std::string::npos)), exit_code_(exit_code) {}

Error::Error(Exit exit_code, const std::vector<std::string>& lines)
    : std::runtime_error(joined(lines)), exit_code_(exit_code) {}

std::string printable(std::string_view text, std::size_t max_bytes) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_character(text);
    if (out.size() + (length == 0 ? 1 : length) > max_bytes) return out + "...";
    if (length == 0 || is_control(code_point_at(text, 0).value))
      out += '?';
    else
      out += text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string shown_path(const std::filesystem::path& path) { return printable(path.string(), 1000); }

}  // namespace templora
