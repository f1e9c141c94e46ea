#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "run/record.h"

namespace templora {

/// A scored token of a book: its text, its place and what each scorer gave it, nats.
struct ScoredToken {
  std::string text;  ///< with the white space before it
  std::int64_t position = 0;
  std::map<Arm, double> nll;
};

/// A word of a book and the tokens that spell it.
struct ScoredWord {
  std::string word;  ///< as it is written
  std::int64_t position = 0, tokens = 0;
  std::map<Arm, double> nll;  ///< summed over its tokens
};

/// Words of letters and bytes beyond ASCII, in order. A word begins with a token that has white space or a mark before
/// its first letter, and goes on with tokens of letters alone; a word that begins before the first token is left out.
std::vector<ScoredWord> scored_words(const std::vector<ScoredToken>& tokens);

/// NLLs of words by what they are and when they were last used.
struct WordUses {
  /// "name": always with a capital; "function": one of the commonest words of English; else "rare" or "frequent", up to
  /// and above kRareUses uses in the book.
  std::string word_class;
  std::string use;  ///< "first", or again after so many tokens: "in window", "up to 4 windows", "later"
  std::int64_t words = 0, tokens = 0;
  std::map<Arm, double> nll;  ///< sums
};
inline constexpr std::int64_t kRareUses = 8;

/// Of one book's words, in the order of class and use; those that there are. `window_tokens` is the most that a scored
/// token sees before it, L_X + Δ.
std::vector<WordUses> word_uses(const std::vector<ScoredWord>& words, std::int64_t window_tokens);

}  // namespace templora
