#pragma once

#include <random>
#include <set>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace templora {

/// Made-up words for people and places, "Torva": no word comes twice, and none is part of a text.
class InventedNames {
 public:
  /// `random` must outlive it; words are drawn from it.
  InventedNames(std::string_view text, std::mt19937_64& random) : text_(lower_ascii(text)), random_(random) {}

  std::string word();
  /// Two words: "Torva Melid".
  std::string name();

 private:
  std::string text_;
  std::mt19937_64& random_;
  std::set<std::string> taken_;
};

}  // namespace templora
