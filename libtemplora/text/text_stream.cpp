#include "text/text_stream.h"

#include <algorithm>

namespace templora {
namespace {

// Enough to know how a token's text depends on its neighbours: the longest character spelled in bytes and a
// space before it.
constexpr std::size_t kKept = 8, kMost = 64;
constexpr std::size_t kLongest = 4;  // bytes of a character, which may be about to end
constexpr std::string_view kUnfinished = "\xEF\xBF\xBD";  // what an incomplete character decodes to

}  // namespace

TextStream::TextStream(const Tokenizer& tokenizer, const std::vector<std::int64_t>& before) : tokenizer_(tokenizer) {
  recent_.assign(before.end() - std::ptrdiff_t(std::min(before.size(), kKept)), before.end());
  shown_ = tokenizer_.decode(recent_, true).size();
}

std::string TextStream::add(std::int64_t token) {
  recent_.push_back(token);
  const std::string text = tokenizer_.decode(recent_, true);
  if (text.size() < shown_ || (text.ends_with(kUnfinished) && recent_.size() < kMost + kLongest)) return "";
  std::string fresh = text.substr(shown_);
  shown_ = text.size();
  if (recent_.size() >= kMost) {
    recent_.erase(recent_.begin(), recent_.end() - std::ptrdiff_t(kKept));
    shown_ = tokenizer_.decode(recent_, true).size();
  }
  return fresh;
}

}  // namespace templora
