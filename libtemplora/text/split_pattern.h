#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// A stretch of a text, in bytes.
struct Span {
  std::size_t begin = 0, end = 0;
  bool match = false;  ///< whether a pattern matched it, or it lies between two matches
};

/// A regular expression of a pre-tokenizer. Characters that it does not tell apart are numbered alike, and PCRE2
/// matches those numbers: what is a letter is our tables' answer (Hugging Face's), whatever Unicode PCRE2 knows.
/// Safe to use from several threads.
class SplitPattern {
 public:
  /// Throws Error(bad_input) where the pattern has what is not supported (see read_pattern) or PCRE2 refuses it.
  SplitPattern(std::string_view pattern, const std::string& where);
  ~SplitPattern();
  SplitPattern(SplitPattern&&) noexcept;
  SplitPattern& operator=(SplitPattern&&) noexcept;

  /// Appends spans that cover valid UTF-8 `text`, each moved by `offset`. Throws Error(bad_input) where the pattern
  /// takes more steps than any that is meant to split text.
  void split(std::string_view text, std::size_t offset, std::vector<Span>& out) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace templora
