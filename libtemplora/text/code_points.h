#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/utf8.h"

namespace templora {

/// A set of code points, as ascending disjoint runs [first, past).
class CodePointSet {
 public:
  static constexpr char32_t kPast = 0x110000;  ///< one past the last code point
  using Run = std::pair<char32_t, char32_t>;

  CodePointSet() = default;
  /// Of runs in any order that may overlap.
  explicit CodePointSet(std::vector<Run> runs);
  /// Of the first and the one past the last of each run, ascending, one after the other.
  explicit CodePointSet(std::span<const char32_t> edges);
  static CodePointSet of(char32_t value) { return CodePointSet(std::vector<Run>{{value, value + 1}}); }
  /// Of the general categories whose two letters start with `name`, such as "L" or "Lu"; empty where there is none.
  static CodePointSet category(std::string_view name);

  CodePointSet complement() const;
  CodePointSet united(const CodePointSet& other) const;
  bool contains(char32_t value) const;
  bool empty() const { return runs_.empty(); }
  const std::vector<Run>& runs() const { return runs_; }

 private:
  std::vector<Run> runs_;
};

/// Who asks what belongs to a word.
enum class WordRule {
  pattern,           ///< \w of regular expressions
  pattern_in_class,  ///< the same inside brackets
  added_token        ///< single_word of added tokens
};

/// The characters of words by one of the rules, which differ by a few.
CodePointSet word_characters(WordRule rule);

/// A number below 256 for each code point, found by two look-ups.
class CodePointMap {
 public:
  CodePointMap() = default;
  /// `values[i]` holds from `starts[i]` up to the next start; the first start is 0.
  CodePointMap(const std::vector<char32_t>& starts, const std::vector<std::uint8_t>& values);
  /// 1 inside the set, 0 outside.
  explicit CodePointMap(const CodePointSet& set);

  std::uint8_t operator[](char32_t value) const { return pages_[page_of_[value >> 8]][value & 0xFF]; }

 private:
  std::array<std::uint16_t, 0x1100> page_of_{};
  std::vector<std::array<std::uint8_t, 256>> pages_;
};

/// Text of bytes that may be no UTF-8: each longest part of a character that is not completed becomes U+FFFD.
std::string utf8_with_replacements(std::string_view bytes);

}  // namespace templora
