#pragma once

#include <cstdint>
#include <span>

namespace templora {

/// A run of code points with one value, from `first` up to the next run's.
struct CodePointRun {
  char32_t first;
  std::uint8_t value;
};

/// What canonical decomposition makes of a character, one step: `second` is 0 where it is a single one. `composes`:
/// NFC puts the two together again.
struct Decomposition {
  char32_t code, first, second;
  bool composes;
};

/// Names of the categories that kCategoryRuns numbers, in their order, two letters each.
inline constexpr const char* kCategoryNames = "LuLlLtLmLoMnMcMeNdNlNoPcPdPsPePiPfPoSmScSkSoZsZlZpCcCfCsCoCn";

extern const std::span<const CodePointRun> kCategoryRuns;    ///< categories as regular expressions see them
extern const std::span<const CodePointRun> kMarkClassRuns;   ///< rank by which NFC orders marks; 0: no such mark
extern const std::span<const Decomposition> kDecompositions;  ///< ascending; without Hangul, which is arithmetic

/// Sets of characters, as the first code point and the one past the last of each run, ascending.
/// \s of regular expressions; also what an added token's lstrip and rstrip take away.
extern const std::span<const char32_t> kPatternSpace;
/// Word characters besides the categories L, M, Nd, Nl and Pc (word_characters(), text/code_points.h), and what two of
/// those who ask have besides.
extern const std::span<const char32_t> kWordSymbols, kPatternWordMore, kAddedWordMore;
extern const std::span<const char32_t> kPatternHan;  ///< \p{Han}
extern const std::span<const char32_t> kNumeric;     ///< what the pre-tokenizer Digits takes for a digit

}  // namespace templora
