#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

/// Text of bytes that may be no UTF-8: each longest part of a character that is not completed becomes U+FFFD.
std::string utf8_with_replacements(std::string_view bytes);

}  // namespace templora
