#include "text/planting.h"

#include <algorithm>
#include <set>

#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "text/book_text.h"
#include "text/tokenizer_goldens.h"

using namespace templora;
using templora_test::small_tokenizer;

namespace {

std::string prose(int sentences) {
  std::string text = "Chapter I.\n\n";
  for (int i = 0; i < sentences; ++i)
    text += "The old man went down the road of stone number " + std::to_string(i) + " and saw Mr. Brown there." +
            (i % 5 == 4 ? "\n\n" : i % 3 == 2 ? "\n" : " ");
  text += "The end.";
  return text;
}

const PlantOptions kOptions{{24, 4, 0, 9}, 400, 12000};

}  // namespace

TEST_CASE("plant_facts: the sentences stand where it says, and without them the text is as it was", "[unit]") {
  const std::string text = prose(900);
  for (const char* name : {"bare", "unigram", "added-new", "no-prefix-new"}) {
    CAPTURE(name);
    const Tokenizer tok = small_tokenizer(name);
    const Planting planting = plant_facts(text, "book", tok, kOptions);
    const Book book = book_of_text("book", planting.text, tok, 0);
    CHECK(planting.unplanted_hash == hash_hex(text));
    CHECK(planting.unplanted_hash != book.text_hash);
    std::string without = planting.text;
    std::size_t sentences = 0;
    REQUIRE(planting.mentions.size() == planting.design.facts.size());
    for (std::size_t f = 0; f < planting.mentions.size(); ++f) {
      const Fact& fact = planting.design.facts[f];
      const FactNames& names = planting.design.names_of(fact);
      REQUIRE(std::int64_t(planting.mentions[f].size()) == fact.times + fact.corrected);
      std::int64_t before = kOptions.from_tokens;
      for (std::size_t m = 0; m < planting.mentions[f].size(); ++m) {
        const bool correction = fact.corrected && m == 1;
        const std::string sentence =
            fact_sentence(fact, correction ? FactForm::correction : FactForm::planted,
                          names.planted[correction ? fact.corrected_answer : fact.answer]);
        const auto [first, end] = planting.mentions[f][m];
        CHECK(first >= before);
        CHECK(end <= kOptions.to_tokens);
        before = end;
        const std::string there =
            tok.decode({book.tokens.begin() + first, book.tokens.begin() + end}, true);
        CHECK(there.find(sentence.substr(1)) != std::string::npos);
        const std::size_t at = without.find(sentence);
        REQUIRE(at != std::string::npos);
        without.erase(at, sentence.size());
        ++sentences;
      }
    }
    CHECK(sentences == 3 * 8 * 4);
    CHECK(without == text);
    CHECK(std::is_sorted(planting.gaps.begin(), planting.gaps.end()));
    CHECK(planting.gaps.size() == sentence_ends(text).size());  // a planted one ends in a name
  }
}

TEST_CASE("plant_facts: a planted sentence has the tokens that its question and answer have", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  const Planting planting = plant_facts(prose(900), "book", tok, kOptions);
  const Book book = book_of_text("book", planting.text, tok, 0);
  for (std::size_t f = 0; f < planting.mentions.size(); ++f) {
    const Fact& fact = planting.design.facts[f];
    std::vector<std::int64_t> wanted = ids_behind_sentence(tok, fact_question(fact, FactForm::planted));
    const std::vector<std::int64_t> answer =
        ids_behind_sentence(tok, fact_answer(planting.design.names_of(fact).planted[fact.answer]));
    wanted.insert(wanted.end(), answer.begin(), answer.end());
    const auto first = book.tokens.begin() + planting.mentions[f][0].first_token;
    CHECK(std::equal(wanted.begin(), wanted.end(), first));
  }
}

TEST_CASE("plant_facts: the sentences are spread, mixed, and the same for the same seed", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  const std::string text = prose(900);
  const Planting a = plant_facts(text, "book", tok, kOptions), b = plant_facts(text, "book", tok, kOptions);
  CHECK(a.text == b.text);
  CHECK(a.mentions == b.mentions);
  PlantOptions other = kOptions;
  other.facts.seed = 10;
  CHECK(plant_facts(text, "book", tok, other).text != a.text);
  std::vector<std::int64_t> firsts;
  for (const auto& mentions : a.mentions)
    for (const Mention& mention : mentions) firsts.push_back(mention.first_token);
  CHECK_FALSE(std::is_sorted(firsts.begin(), firsts.end()));  // not in the facts' order
  std::sort(firsts.begin(), firsts.end());
  const double mean = double(firsts.back() - firsts.front()) / double(firsts.size() - 1);
  for (std::size_t i = 1; i < firsts.size(); ++i) CHECK(double(firsts[i] - firsts[i - 1]) < 4 * mean);
}

TEST_CASE("plant_facts: a book without enough sentences there is refused by name", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  try {
    plant_facts(prose(60), "shelf/short.txt", tok, kOptions);
    FAIL("96 sentences behind 60");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::bad_input);
    const std::string what = error.what();
    for (const char* part : {"shelf/short.txt", "recall.plant_from_tokens", "96 sentences"})
      CHECK(what.find(part) != std::string::npos);
  }
}

TEST_CASE("sentence_ends: ends of prose only", "[unit]") {
  const std::string text =
      "He saw Mr. Brown go home. \"Why?\" he said. Nobody knew it!\nThen 3.5 went. and all. XIV. End.";
  std::vector<std::string> before;
  for (const std::size_t end : sentence_ends(text)) before.push_back(text.substr(end - 5, 5));
  CHECK(before == std::vector<std::string>{"said.", "w it!", " all."});
}
