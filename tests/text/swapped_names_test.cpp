#include "text/swapped_names.h"

#include <set>

#include "catch.h"
#include "core/utf8.h"

using namespace templora;

namespace {

const std::string kText =
    "SHIRLEY\n\nOf late years Shirley had lived at Fieldhead. It was Shirley's home. Mr. Moore came to Fieldhead, and "
    "the moor was wide. \"Come in, Shirley,\" said Mr. Moore. But nobody came. But Moore went, and Mr. Hall came. Mr. "
    "Hall sat. In Fieldhead a Frenchman, Élise and O'Brien met Élise and O'Brien. A rose grew; Rose was there with "
    "Rose. Only Once was he once there, at Once.\n\nMatthew\n\nMatthew said nothing.";

}  // namespace

TEST_CASE("swap_names: names become invented words, each the same one everywhere, and all else stays", "[unit]") {
  const SwappedNames swapped = swap_names(kText, 7);
  std::set<std::string> names, invented;
  for (const auto& [name, word] : swapped.names) {
    names.insert(name);
    invented.insert(word);
    CHECK(kText.find(word) == std::string::npos);
    CHECK(lower_ascii(kText).find(lower_ascii(word)) == std::string::npos);
  }
  // "Moore" is no part of "moor"; "Rose" and "Once" are words too; "But" only begins sentences, "Frenchman" comes once,
  // "Matthew" stands in no sentence but at its beginning, "Élise" has no capital of A to Z.
  CHECK(names == std::set<std::string>{"Shirley", "Fieldhead", "Moore", "Hall", "Brien"});
  CHECK(invented.size() == names.size());
  const auto in = [&](const std::string& name) { return swapped.names.at(name); };
  std::string upper = in("Shirley");
  for (char& c : upper)
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  CHECK(swapped.text.starts_with(upper + "\n\nOf late years " + in("Shirley") + " had lived at " + in("Fieldhead") +
                                 ". It was " + in("Shirley") + "'s home. Mr. " + in("Moore") + " came to " +
                                 in("Fieldhead") + ", and the moor was wide."));
  // Back again, it is the text.
  std::string back = swapped.text;
  for (const auto& [name, word] : swapped.names)
    for (std::size_t at = 0; (at = back.find(word, at)) != std::string::npos; at += name.size())
      back.replace(at, word.size(), name);
  back.replace(0, upper.size(), "SHIRLEY");
  CHECK(back == kText);
}

TEST_CASE("swap_names: the seed decides which words, and a text without names stays as it is", "[unit]") {
  CHECK(swap_names(kText, 7).text == swap_names(kText, 7).text);
  CHECK(swap_names(kText, 7).text != swap_names(kText, 8).text);
  for (const std::string text : {"", "no name here, none at all", "\u5f20\u4e09 went to \u5317\u4eac"}) {
    const SwappedNames swapped = swap_names(text, 7);
    CHECK(swapped.text == text);
    CHECK(swapped.names.empty());
  }
}

TEST_CASE("swap_names: there are words for more names than short words can name", "[unit]") {
  std::string text;
  std::set<std::string> names;
  for (int i = 0; i < 12000; ++i) {
    std::string name = "X";
    for (int n = i, digit = 0; digit < 4; ++digit, n /= 26) name += char('a' + n % 26);
    names.insert(name);
    text += "he saw " + name + " and " + name + " there ";
  }
  const SwappedNames swapped = swap_names(text, 7);
  CHECK(swapped.names.size() == names.size());
  std::set<std::string> words;
  for (const auto& [name, word] : swapped.names) words.insert(word);
  CHECK(words.size() == names.size());
}
