#include "text/invented_names.h"

namespace templora {

std::string InventedNames::word() {
  static constexpr std::string_view kFirst = "bdfgklmnprstv", kVowels = "aeiou", kLast = "dklmnrst";
  constexpr std::size_t kShortWords = 13 * 5 * 13 * 5 * 8 / 4;  // a quarter of all of two syllables
  for (;;) {
    std::string word;
    int syllables = 2;
    for (std::size_t words = kShortWords; taken_.size() >= words; words *= 13 * 5) ++syllables;
    for (int syllable = 0; syllable < syllables; ++syllable) {
      word += kFirst[random_() % kFirst.size()];
      word += kVowels[random_() % kVowels.size()];
    }
    word += kLast[random_() % kLast.size()];
    if (!taken_.insert(word).second || text_.find(word) != std::string::npos) continue;
    word[0] = static_cast<char>(word[0] - 'a' + 'A');
    return word;
  }
}

std::string InventedNames::name() {
  const std::string last = word();  // drawn first: seeds of earlier versions keep their names
  return word() + " " + last;
}

}  // namespace templora
