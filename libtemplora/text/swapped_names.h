#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace templora {

/// A text whose names are invented words.
struct SwappedNames {
  std::string text;
  std::map<std::string, std::string> names;  ///< by the word that stood there, as written
};

/// Puts an invented word in the place of every name of a text, the same one at each use; of a name in capitals, in
/// capitals. A name is a word of letters that begins with a capital of A to Z and goes on with small letters, comes at
/// least twice, at least once inside a sentence, never without the capital, and is no title ("Mr", "Lady"); so nations
/// and days are names too. Same text and seed, same words, none of which is a word of the text. `text` is valid UTF-8.
SwappedNames swap_names(std::string_view text, std::uint64_t seed);

}  // namespace templora
