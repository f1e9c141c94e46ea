#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace templora {

/// Turns tokens into text as they come: each token gives what can be shown of it now. A character that is spelled
/// in several byte tokens appears with its last one.
class TextStream {
 public:
  /// `before` are the tokens that the text follows, so that it starts with a space where the tokenizer says so.
  TextStream(const Tokenizer& tokenizer, const std::vector<std::int64_t>& before);

  /// What is new to show after this token; may be empty.
  std::string add(std::int64_t token);

 private:
  const Tokenizer& tokenizer_;
  std::vector<std::int64_t> recent_;
  std::size_t shown_ = 0;  // bytes of decode(recent_) that were shown
};

}  // namespace templora
