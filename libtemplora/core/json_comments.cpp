#include "core/json_comments.h"

#include <fmt/format.h>

#include <algorithm>

namespace templora {
namespace {

/// Where the string that begins at `at` ends; at a line's end too, where the parser finds what is wrong.
std::size_t behind_string(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"' && text[at] != '\n'; ++at)
    if (text[at] == '\\') ++at;
  return std::min(at + 1, text.size());
}

}  // namespace

Json parse_commented_json(std::string_view text, const std::string& where, Exit code) {
  std::string blanked(text);  // of the same length, so that the parser's lines and columns are the file's
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view mark = text.substr(at, 2);
    std::size_t end = at + 1;
    if (text[at] == '"') {
      end = behind_string(text, at);
    } else if (mark == "//" || mark == "/*") {
      const bool line = mark == "//";
      end = text.find(line ? "\n" : "*/", at + 2);
      if (end == text.npos && !line)
        throw Error(code, fmt::format("{}: line {}: a comment begins with /* and never ends, wanted */ behind it",
                                      where, 1 + std::count(text.begin(), text.begin() + std::ptrdiff_t(at), '\n')));
      end = end == text.npos ? text.size() : end + (line ? 0 : 2);
      for (std::size_t i = at; i < end; ++i)
        if (text[i] != '\n' && text[i] != '\0') blanked[i] = ' ';
    }
    at = end;
  }
  return parse_json(blanked, where, code);
}

}  // namespace templora
