#pragma once

#include <string>
#include <vector>

#include "catch.h"

namespace templora_test {

inline bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// Checks that a text has a part, and shows both where it has not.
inline void check_has(const std::string& text, const std::string& part) {
  INFO(text << "\nwanted in it: " << part);
  CHECK(has(text, part));
}

/// Lines that have an end, without it.
inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::size_t start = 0;
  for (std::size_t end; (end = text.find('\n', start)) != std::string::npos; start = end + 1)
    lines.push_back(text.substr(start, end - start));
  return lines;
}

}  // namespace templora_test
