#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/code_points.h"

namespace templora {

/// A regular expression as a row of items: operators that PCRE2 and Oniguruma share, and sets of characters.
struct PatternItems {
  struct Item {
    std::string syntax;  ///< written as it stands, where `set` is -1
    int set = -1;        ///< which of `sets` one character must be in
  };
  std::vector<CodePointSet> sets;
  std::vector<Item> items;
};

/// Reads a pattern as Hugging Face's tokenizers do (Oniguruma's Ruby syntax), in so far as pre-tokenizers use it:
/// characters, classes, \s \d \w \h, general categories and Han, groups, (?i: ), look-around, and quantifiers.
/// What else there is would mean something else, or nothing, to PCRE2: it is refused by name.
/// Throws Error(bad_input); `where` names the pattern.
PatternItems read_pattern(std::string_view pattern, const std::string& where);

}  // namespace templora
