#pragma once

#include <cstdint>
#include <span>

namespace templora {

/// Sets of characters, as the first code point and the one past the last of each run, ascending: a character
/// is in the set if an odd number of entries is not above it.
extern const std::span<const char32_t> kPunctuation;    ///< category P
extern const std::span<const char32_t> kSymbols;        ///< category S
extern const std::span<const char32_t> kNumbers;        ///< category N
extern const std::span<const char32_t> kCased;          ///< has a case, and is not in kCaseIgnorable
extern const std::span<const char32_t> kCaseIgnorable;  ///< looked through where a word's end is asked for

/// Every `step`-th character from `first` to `last` has the lower-case form `add` further on.
struct LowerRun {
  char32_t first, last;
  char32_t step;
  std::int32_t add;
};

extern const std::span<const LowerRun> kLowerRuns;  ///< ascending

}  // namespace templora
