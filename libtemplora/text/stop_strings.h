#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace templora {

/// Strings that end a text while it is written. Each is met where it appears in the text; one that is a token of its
/// own ("<|im_end|>"), which the text may not show, also by that token.
class StopStrings {
 public:
  /// The tokenizer must outlive this object. `never_written`: a token that the text cannot hold, -1 for none. Throws
  /// Error(usage) where its string is among `strings`: that stop could never be met.
  StopStrings(const Tokenizer& tokenizer, std::vector<std::string> strings, std::int64_t never_written);

  /// To be asked after each token of `written`: whether the newest one completes a string. What stands wholly in the
  /// first `old` tokens does not count.
  bool met(const std::vector<std::int64_t>& written, std::int64_t old) const;

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::string> strings_;
  std::vector<std::int64_t> marks_;  // those that are tokens of their own
  std::size_t look_back_;            // tokens that a string met just now can reach into
};

}  // namespace templora
