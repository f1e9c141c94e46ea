#include "text/split_pattern.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "../core/fixtures.h"
#include "catch.h"
#include "core/error.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// What a pattern makes of a text: its pieces, matches in brackets.
std::string pieces(const std::string& pattern, const std::string& text) {
  std::vector<Span> spans;
  SplitPattern(pattern, "pattern").split(text, 0, spans);
  std::string out;
  for (const Span& span : spans) {
    const std::string piece = text.substr(span.begin, span.end - span.begin);
    out += span.match ? "[" + piece + "]" : piece;
  }
  return out;
}

std::string refused_pattern(const std::string& pattern, const std::string& text = "") {
  return refusal([&] { pieces(pattern, text); });
}

}  // namespace

TEST_CASE("SplitPattern: classes are Hugging Face's, whatever Unicode the library knows", "[unit]") {
  CHECK(pieces(R"(\p{L}+)", "a\u00e9\U00031350 1") == "[a\u00e9\U00031350] 1");  // a letter since Unicode 15
  CHECK(pieces(R"(\s+)", "a\u180eb \u3000c\x1c") == "a\u180eb[ \u3000]c\x1c");   // U+180E was a space before 6.3
  CHECK(pieces(R"(\p{N})", "1\u0663\u00bd\u2160x") == "[1][\u0663][\u00bd][\u2160]x");
  CHECK(pieces(R"([\p{Lu}\p{Lt}]\p{^Lu}*)", "ab\u01c5cD") == "ab[\u01c5c][D]");
  CHECK(pieces(R"(\p{Han}+|[^\P{M}]+)", "a\u4f60\u3042e\u0301") == "a[\u4f60]\u3042e[\u0301]");
}

TEST_CASE("SplitPattern: case is ignored as the reference ignores it", "[unit]") {
  CHECK(pieces("(?i:'s|'k)", "'s'S'\u017f'\u212a't") == "['s]['S]['\u017f]['\u212a]'t");
  CHECK(pieces("(?i)the|[a-c]x", "THE Cx the") == "[THE] [Cx] [the]");
  CHECK(has(refused_pattern("(?i:st)"), "\"st\" in a group that ignores case"));  // U+FB06 matches it there
  CHECK(has(refused_pattern("(?i:\u00e9)"), "beyond ASCII"));
  CHECK(has(refused_pattern(R"((?i:\p{L}))"), "in a group that ignores case"));
}

TEST_CASE("SplitPattern: look-around, lazy and possessive repetition, empty matches", "[unit]") {
  CHECK(pieces(R"(\s+(?!\S)|\s+)", "a  b ") == "a[ ][ ]b[ ]");
  CHECK(pieces(R"((?<=a)b|c(?=d))", "abbcdc") == "a[b]b[c]dc");
  CHECK(pieces(R"(a*?b|x++y?)", "aabxxy") == "[aab][xxy]");
  CHECK(pieces(R"(\d*)", "a12b") == "[]a[12]b[]");
  CHECK(pieces(R"(^\w|\w$)", "ab\ncd") == "[a][b]\n[c][d]");
  CHECK(pieces(R"(\bthe\b)", "the other the") == "[the] other [the]");
}

TEST_CASE("SplitPattern: what is not supported is refused by name and place", "[unit]") {
  for (const auto& [pattern, part] :
       std::vector<std::pair<std::string, std::string>>{{R"([\p{L}&&x])", "&& in a class"},
                                                        {"[[:alpha:]]", "[: in a class"},
                                                        {R"(\p{Greek})", "\\p{Greek}"},
                                                        {R"((a)\1)", "\\1"},
                                                        {"(?<n>a)", "(?<"},
                                                        {"a**", "two quantifiers"},
                                                        {"(a", "a \")\""},
                                                        {"a)", "a \"(\""},
                                                        {"[a", "a \"]\""},
                                                        {"[]a]", "] as the first"},
                                                        {"*a", "something before it"},
                                                        {R"(\R)", "\\R"},
                                                        {R"(\G)", "\\G"},
                                                        {R"(\p{)", "\\p{"},
                                                        {"a{2001}", "at most 1000"},
                                                        {"a{", "{ without"},
                                                        {"(?=a)+", "behind an assertion"},
                                                        {"[b-a]", "falls"},
                                                        {"\\xe9", "\\xe9"},
                                                        {"\\", "\\"},
                                                        {"(?m:a)", "(?m"},
                                                        {"(?<=a+)b", "PCRE2 refuses"}}) {
    CAPTURE(pattern);
    CHECK(has(refused_pattern(pattern), part));
    CHECK(has(refused_pattern(pattern), "pattern: "));
  }
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "(?:";
  CHECK(has(refused_pattern(deep), "at most 64 levels"));
  CHECK(has(refused_pattern(std::string(30000, 'a')), "at most 20000"));
  std::string kinds;
  for (char32_t c = 0; c < 300; ++c) kinds += fmt::format("\\x{{{:x}}}|", 0x4e00 + 2 * static_cast<unsigned>(c));
  CHECK(has(refused_pattern(kinds + "a"), "kinds of characters"));
}

TEST_CASE("SplitPattern: a hostile pattern ends by its steps, and long words are no such thing", "[unit]") {
  CHECK(has(refused_pattern("(?:a+)+b", std::string(5000, 'a') + "!b"), "too many steps"));
  CHECK(has(refused_pattern("(?:a|a)*b", std::string(200000, 'a') + "!b"), "too many steps"));
  CHECK(has(refused_pattern("[^q]*X|.", std::string(300000, 'a') + "qX"), "too many steps"));
  const std::string word(3'000'000, 'a');
  std::vector<Span> spans;
  SplitPattern(R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lo}]*[\p{Ll}\p{Lo}]+|\s+)", "p").split(word, 0, spans);
  CHECK(spans.size() == 1);
  spans.clear();
  SplitPattern(R"(\p{Lu}*\p{N}|\p{L}+)", "p").split(word, 0, spans);
  CHECK(spans.size() == 1);
}
