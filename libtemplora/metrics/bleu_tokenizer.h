#pragma once

#include <string>
#include <string_view>

namespace templora {

/// How BLEU cuts a segment into words, as sacreBLEU 2.6.0 does under the same name.
enum class BleuTokenizer {
  none,   ///< "none": at white space only
  v13a,   ///< "13a": the WMT script mteval-v13a: ASCII punctuation apart, numbers such as 1,000.5 whole
  intl,   ///< "intl": mteval-v14: punctuation and symbols of all Unicode
  zh,     ///< "zh": each Chinese character apart, the rest as 13a. sacreBLEU's own ranges, mistakes kept: U+2001 to
          ///< U+2A6D (curly quotes, dashes, arrows) counts as Chinese, and ideographs past U+FFFF do not
  chars,  ///< "char": every character that is not white space
};

/// sacreBLEU's name: "none", "13a", "intl", "zh", "char".
const char* bleu_tokenizer_name(BleuTokenizer tokenizer);
/// Throws Error(usage) for another name.
BleuTokenizer bleu_tokenizer_named(std::string_view name);

/// `line` with white space put between its words, some of it double: split_words() gives the words.
std::u32string spaced_words(std::u32string_view line, BleuTokenizer tokenizer);

/// The words of `line`, UTF-8, joined by single spaces. Throws Error(bad_input) if it is not UTF-8.
std::string bleu_tokenize(std::string_view line, BleuTokenizer tokenizer);

}  // namespace templora
