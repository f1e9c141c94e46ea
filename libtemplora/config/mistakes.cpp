#include "config/mistakes.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"

namespace templora {

void Mistakes::add(const std::string& key, const std::string& what) {
  if (full()) return static_cast<void>(++left_out_);
  lines_.push_back(fmt::format("{}: {}: {}", source_(key), printable(key), what));
  wrong_.insert(key);
}

void Mistakes::add_rule(const std::string& key, const std::string& what, const std::vector<std::string>& beside) {
  const bool follows =
      is_wrong(key) || std::any_of(beside.begin(), beside.end(), [&](const auto& other) { return is_wrong(other); });
  if (!follows) add(key, what);
}

bool Mistakes::is_wrong(const std::string& key) const {
  return std::any_of(wrong_.begin(), wrong_.end(), [&](const std::string& wrong) {  // it, its section or an item of it
    return key == wrong || key.starts_with(wrong + ".") || wrong.starts_with(key + "[");
  });
}

void Mistakes::raise() const {
  if (lines_.empty()) return;
  std::vector<std::string> lines = lines_;
  if (left_out_ > 0) lines.push_back(fmt::format("and {} more mistakes", left_out_));
  throw Error(Exit::usage, lines);
}

}  // namespace templora
