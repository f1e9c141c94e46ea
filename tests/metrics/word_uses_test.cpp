#include "metrics/word_uses.h"

#include "catch.h"

using namespace templora;

namespace {

std::vector<ScoredToken> tokens_of(const std::vector<std::string>& texts) {
  std::vector<ScoredToken> tokens;
  for (const std::string& text : texts) {
    const auto at = std::int64_t(tokens.size());
    tokens.push_back({text, at, {{Arm::base, 2.0}, {Arm::lora, double(at)}}});
  }
  return tokens;
}

const WordUses& uses_of(const std::vector<WordUses>& rows, const std::string& word_class, const std::string& use) {
  for (const WordUses& row : rows)
    if (row.word_class == word_class && row.use == use) return row;
  throw std::runtime_error("no row " + word_class + ", " + use);
}

}  // namespace

TEST_CASE("scored_words: tokens are put together to words, marks and what was begun before are not", "[unit]") {
  const auto words = scored_words(tokens_of(
      {"tail", " The", " qu", "ick", ",", " \"Fo", "x", "'s", " den", ".\n", "\nShirl", "ey", "1"}));
  std::vector<std::string> texts;
  for (const ScoredWord& word : words) texts.push_back(word.word);
  CHECK(texts == std::vector<std::string>{"The", "quick", "Fox", "s", "den", "Shirley"});
  CHECK(words[1].position == 2);
  CHECK(words[1].tokens == 2);
  CHECK(words[1].nll.at(Arm::base) == 4);
  CHECK(words[1].nll.at(Arm::lora) == 5);
}

TEST_CASE("word_uses: names, function words and others by their last use", "[unit]") {
  std::vector<std::string> text{" The", " mill", " of", " Shir", "ley", " stood", "."};
  text.insert(text.end(), {" Shir", "ley", " saw", " the", " mill"});         // 7 … in sight
  for (int i = 0; i < 30; ++i) text.push_back(" x");                          // 12 …
  text.insert(text.end(), {" Shir", "ley", " and", " Mill"});                 // 42 … up to 4 windows
  for (int i = 0; i < 60; ++i) text.push_back(" x");
  text.insert(text.end(), {" Shir", "ley"});                                  // later
  const auto rows = word_uses(scored_words(tokens_of(text)), 10);
  CHECK(uses_of(rows, "name", "first").words == 1);  // Mill stands without a capital, too
  CHECK(uses_of(rows, "name", "first").nll.at(Arm::lora) == 3 + 4);
  CHECK(uses_of(rows, "name", "in window").nll.at(Arm::lora) == 7 + 8);
  CHECK(uses_of(rows, "name", "up to 4 windows").nll.at(Arm::lora) == 42 + 43);
  CHECK(uses_of(rows, "name", "later").tokens == 2);
  CHECK(uses_of(rows, "rare", "first").words == 3);  // mill, stood, saw
  CHECK(uses_of(rows, "rare", "up to 4 windows").words == 1);
  CHECK(uses_of(rows, "frequent", "in window").words == 89);
  CHECK(uses_of(rows, "function", "first").words == 3);  // the, of, and
}
