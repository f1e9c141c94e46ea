#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// Categories of characters as the Python package `regex` gives them, which sacreBLEU asks. The tables say of
/// which Unicode version (metrics/unicode_tables.cpp).
bool is_punctuation(char32_t value);  ///< category P
bool is_symbol(char32_t value);       ///< category S
bool is_number(char32_t value);       ///< category N

/// `text` as Python's str.lower() returns it, of the Python named in metrics/unicode_tables.cpp: all of Unicode,
/// U+0130 becomes two characters, and a capital sigma that ends a word becomes the final small sigma.
std::u32string lower_case(std::u32string_view text);

/// UTF-8 as code points. Throws Error(bad_input) naming `what` ("hypothesis"), and `segment` if that is not
/// negative, where the text is not UTF-8.
std::u32string code_points(std::string_view text, std::string_view what, std::int64_t segment = -1);

/// Code points as UTF-8.
std::string utf8(std::u32string_view text);

/// `text` without white space at its end / at both ends; is_white_space of core/utf8.h decides.
std::u32string_view strip_right(std::u32string_view text);
std::u32string_view strip(std::u32string_view text);

/// Runs of characters that are not white space: Python's str.split(). Views into `text`.
std::vector<std::u32string_view> split_words(std::u32string_view text);

}  // namespace templora
