#include "text/stop_strings.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace templora {
namespace {

// A token is nearly always a byte or more; the few tokens beside are for those that are none, and for a first one that
// is not whole.
constexpr std::size_t kLookBack = 64, kBeside = 8;

}  // namespace

StopStrings::StopStrings(const Tokenizer& tokenizer, std::vector<std::string> strings, std::int64_t never_written)
    : tokenizer_(tokenizer), strings_(std::move(strings)), look_back_(kLookBack) {
  for (const std::string& string : strings_) {
    look_back_ = std::max(look_back_, string.size() + kBeside);
    const std::int64_t mark = tokenizer.special_token_id(string);
    if (mark < 0) continue;
    if (mark == never_written)
      throw Error(Exit::usage,
                  fmt::format("generate.stop: got \"{}\", the end token, which is never written here; remove it, "
                              "generate.tokens says how long the text is",
                              printable(string)));
    marks_.push_back(mark);
  }
}

bool StopStrings::met(const std::vector<std::int64_t>& written, std::int64_t old) const {
  if (written.empty()) return false;
  if (std::find(marks_.begin(), marks_.end(), written.back()) != marks_.end()) return true;
  const std::size_t first = written.size() - std::min(written.size(), look_back_);
  const auto text_to = [&](std::size_t end) {
    return tokenizer_.decode({written.begin() + std::ptrdiff_t(first), written.begin() + std::ptrdiff_t(end)}, true);
  };
  const std::string recent = text_to(written.size());
  const std::size_t old_bytes = std::size_t(old) > first ? text_to(std::size_t(old)).size() : 0;
  return std::any_of(strings_.begin(), strings_.end(), [&](const std::string& string) {
    const std::size_t from =
        old_bytes >= string.size() ? old_bytes - string.size() + 1 : 0;  // so that it ends behind them
    return recent.find(string, from) != std::string::npos;
  });
}

}  // namespace templora
