#include "metrics/unicode.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/utf8.h"
#include "metrics/unicode_tables.h"

namespace templora {

namespace {

constexpr char32_t kCapitalSigma = 0x3A3, kSmallSigma = 0x3C3, kFinalSigma = 0x3C2;

bool contains(std::span<const char32_t> edges, char32_t value) {
  return (std::upper_bound(edges.begin(), edges.end(), value) - edges.begin()) % 2 == 1;
}

char32_t lower_of(char32_t value) {
  if (value < 0x80) return value >= 'A' && value <= 'Z' ? value + 32 : value;
  const auto after = std::upper_bound(kLowerRuns.begin(), kLowerRuns.end(), value,
                                      [](char32_t v, const LowerRun& run) { return v < run.first; });
  if (after == kLowerRuns.begin()) return value;
  const LowerRun& run = *(after - 1);
  if (value > run.last || (value - run.first) % run.step != 0) return value;
  return static_cast<char32_t>(static_cast<std::int64_t>(value) + run.add);
}

/// Whether the sigma at `at` ends a word: the nearest character before it that is not looked through has a
/// case, and the nearest one after it has none.
bool ends_word(std::u32string_view text, std::size_t at) {
  std::size_t before = at;
  while (before > 0 && contains(kCaseIgnorable, text[before - 1])) --before;
  if (before == 0 || !contains(kCased, text[before - 1])) return false;
  std::size_t after = at + 1;
  while (after < text.size() && contains(kCaseIgnorable, text[after])) ++after;
  return after == text.size() || !contains(kCased, text[after]);
}

}  // namespace

bool is_punctuation(char32_t value) { return contains(kPunctuation, value); }
bool is_symbol(char32_t value) { return contains(kSymbols, value); }
bool is_number(char32_t value) { return contains(kNumbers, value); }

std::u32string lower_case(std::u32string_view text) {
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == kCapitalSigma) {
      out += ends_word(text, i) ? kFinalSigma : kSmallSigma;
    } else if (text[i] == 0x130) {  // the only character whose small form is two: i and a dot above
      out += U"i\u0307";
    } else {
      out += lower_of(text[i]);
    }
  }
  return out;
}

std::u32string code_points(std::string_view text, std::string_view what, std::int64_t segment) {
  if (const std::size_t at = utf8_error(text); at != kValidUtf8) {
    throw Error(Exit::bad_input,
                fmt::format("{}{}: byte {}: got 0x{:02x}, wanted UTF-8; convert the text to UTF-8",
                            segment < 0 ? std::string() : fmt::format("segment {}: ", segment), what, at,
                            static_cast<unsigned>(static_cast<unsigned char>(text[at]))));
  }
  std::u32string out;
  out.reserve(text.size());
  for (std::size_t offset = 0; offset < text.size();) {
    const CodePoint point = code_point_at(text, offset);
    out += point.value;
    offset += point.bytes;
  }
  return out;
}

std::string utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t value : text) append_utf8(out, value);
  return out;
}

std::u32string_view strip_right(std::u32string_view text) {
  while (!text.empty() && is_white_space(text.back())) text.remove_suffix(1);
  return text;
}

std::u32string_view strip(std::u32string_view text) {
  text = strip_right(text);
  while (!text.empty() && is_white_space(text.front())) text.remove_prefix(1);
  return text;
}

std::vector<std::u32string_view> split_words(std::u32string_view text) {
  std::vector<std::u32string_view> words;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && !is_white_space(text[i])) continue;
    if (i > start) words.push_back(text.substr(start, i - start));
    start = i + 1;
  }
  return words;
}

}  // namespace templora
