#include "metrics/bleu_tokenizer.h"

#include <fmt/format.h>

#include <utility>

#include "core/error.h"
#include "metrics/unicode.h"

namespace templora {

namespace {

constexpr std::pair<BleuTokenizer, const char*> kNames[] = {{BleuTokenizer::none, "none"},
                                                            {BleuTokenizer::v13a, "13a"},
                                                            {BleuTokenizer::intl, "intl"},
                                                            {BleuTokenizer::zh, "zh"},
                                                            {BleuTokenizer::chars, "char"}};

/// What sacreBLEU's zh tokenizer takes for Chinese. Its ranges of five-digit code points are read by Python as a
/// four-digit one followed by a digit, which compares as the first row here.
constexpr std::pair<char32_t, char32_t> kChinese[] = {
    {0x2001, 0x2A6D}, {0x2E80, 0x2EFF}, {0x2F00, 0x2FDF}, {0x2FF0, 0x303F}, {0x3100, 0x312F},
    {0x31A0, 0x31BF}, {0x31C0, 0x31EF}, {0x3200, 0x33FF}, {0x3400, 0x4DB5}, {0x4E00, 0x9FBB},
    {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
    {0xFF00, 0xFFEF}};

bool is_chinese(char32_t value) {
  for (const auto& [first, last] : kChinese) {
    if (value >= first && value <= last) return true;
  }
  return false;
}

bool is_digit(char32_t value) { return value >= '0' && value <= '9'; }
bool is_point_or_comma(char32_t value) { return value == '.' || value == ','; }
bool is_dash(char32_t value) { return value == '-'; }
template <bool (*Predicate)(char32_t)>
bool is_not(char32_t value) {
  return !Predicate(value);
}

/// ASCII punctuation and symbols but for ' , - . , and the space.
bool is_western_punctuation(char32_t value) {
  return (value >= ' ' && value <= '&') || (value >= '(' && value <= '+') || value == '/' ||
         (value >= ':' && value <= '@') || (value >= '[' && value <= '`') || (value >= '{' && value <= '~');
}

/// Spaces around each character that `apart` names.
template <class Predicate>
std::u32string set_apart(std::u32string_view line, Predicate apart) {
  std::u32string out;
  out.reserve(line.size() * 2);
  for (const char32_t value : line) {
    if (apart(value)) {
      out += U' ';
      out += value;
      out += U' ';
    } else {
      out += value;
    }
  }
  return out;
}

/// Splits pairs of neighbours, from left to right; a character belongs to one pair at most, as in a regular
/// expression's substitution. The pair becomes "a b " with the mark second, " a b" with the mark first.
enum class Mark { first, second };
template <class First, class Second>
std::u32string split_pairs(std::u32string_view line, First first, Second second, Mark mark) {
  std::u32string out;
  out.reserve(line.size() * 2);
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (i + 1 == line.size() || !first(line[i]) || !second(line[i + 1])) {
      out += line[i];
      continue;
    }
    if (mark == Mark::first) out += U' ';
    out += line[i];
    out += U' ';
    out += line[i + 1];
    if (mark == Mark::second) out += U' ';
    ++i;
  }
  return out;
}

std::u32string western(std::u32string_view line) {
  std::u32string out = set_apart(line, is_western_punctuation);
  out = split_pairs(out, is_not<is_digit>, is_point_or_comma, Mark::second);
  out = split_pairs(out, is_point_or_comma, is_not<is_digit>, Mark::first);
  return split_pairs(out, is_digit, is_dash, Mark::second);
}

std::u32string international(std::u32string_view line) {
  std::u32string out = split_pairs(line, is_not<is_number>, is_punctuation, Mark::second);
  out = split_pairs(out, is_punctuation, is_not<is_number>, Mark::first);
  return set_apart(out, is_symbol);
}

void replace_all(std::u32string& text, std::u32string_view from, std::u32string_view to) {
  for (std::size_t at = text.find(from); at != std::u32string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::u32string v13a(std::u32string_view line) {
  std::u32string text(line);
  replace_all(text, U"<skipped>", U"");
  replace_all(text, U"-\n", U"");
  replace_all(text, U"\n", U" ");
  replace_all(text, U"&quot;", U"\"");
  replace_all(text, U"&amp;", U"&");
  replace_all(text, U"&lt;", U"<");
  replace_all(text, U"&gt;", U">");
  return western(U' ' + text + U' ');
}

}  // namespace

const char* bleu_tokenizer_name(BleuTokenizer tokenizer) {
  for (const auto& [value, name] : kNames) {
    if (value == tokenizer) return name;
  }
  return "?";
}

BleuTokenizer bleu_tokenizer_named(std::string_view name) {
  for (const auto& [value, known] : kNames) {
    if (name == known) return value;
  }
  throw Error(Exit::usage,
              fmt::format("BLEU's tokenizer: got {}, wanted none, 13a, intl, zh or char", printable(name)));
}

std::u32string spaced_words(std::u32string_view line, BleuTokenizer tokenizer) {
  switch (tokenizer) {
    case BleuTokenizer::v13a: return v13a(line);
    case BleuTokenizer::intl: return international(line);
    case BleuTokenizer::zh: return western(set_apart(strip(line), is_chinese));
    case BleuTokenizer::chars: return set_apart(line, [](char32_t) { return true; });
    case BleuTokenizer::none: break;
  }
  return std::u32string(line);
}

std::string bleu_tokenize(std::string_view line, BleuTokenizer tokenizer) {
  const std::u32string spaced = spaced_words(code_points(line, "line"), tokenizer);
  std::string out;
  for (const std::u32string_view word : split_words(spaced)) {
    if (!out.empty()) out += ' ';
    out += utf8(word);
  }
  return out;
}

}  // namespace templora
