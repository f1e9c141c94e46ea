#include "text/facts.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "text/bm25.h"
#include "text/passages.h"
#include "text/tokenizer_goldens.h"

using namespace templora;
using templora_test::small_tokenizer;

namespace {

const std::string kText = "In the beginning God created the heaven and the earth. And the earth was without form.";

}  // namespace

TEST_CASE("design_facts: each answer is said as often as any other of its kind", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  for (const std::int64_t facts : {24, 48, 72})
    for (const std::int64_t repeats : {1, 2, 4, 5}) {
      INFO(facts << " facts, " << repeats << " times");
      const FactDesign design = design_facts(tok, kText, {facts, repeats, 0, 7});
      std::map<std::pair<FactKind, std::size_t>, std::int64_t> said;
      std::map<std::pair<FactKind, std::int64_t>, std::int64_t> asked;  // by kind and times
      std::set<std::string> subjects;
      bool fillers = false;
      for (const Fact& fact : design.facts) {
        said[{fact.kind, fact.answer}] += fact.times;
        if (fact.corrected) ++said[{fact.kind, fact.corrected_answer}];
        CHECK((!fact.corrected || fact.answer != fact.corrected_answer));
        CHECK(subjects.insert(fact.subject).second);
        fillers |= !fact.asked;
        CHECK_FALSE((fillers && fact.asked));  // those that are asked come first
        if (fact.asked && !fact.corrected) ++asked[{fact.kind, fact.times}];
      }
      CHECK(said.size() == 24);
      for (const auto& [answer, times] : said)
        CHECK(times == (said.at({answer.first, 0})));
      for (const FactKind kind : kFactKinds) {
        if (repeats == 1) {
          CHECK((asked.at({kind, 1}) == facts / 3));
        } else {
          CHECK((asked.at({kind, 1}) == facts / 6));
          CHECK((asked.at({kind, repeats}) == facts / 6));
        }
      }
    }
}

TEST_CASE("design_facts: corrected facts stand in the place of fillers", "[unit]") {
  const FactDesign design = design_facts(small_tokenizer(), kText, {24, 4, 0, 7});
  std::map<FactKind, int> corrected;
  for (const Fact& fact : design.facts) corrected[fact.kind] += fact.corrected;
  for (const FactKind kind : kFactKinds) CHECK(corrected[kind] == 2);
}

TEST_CASE("design_facts: names are new to the text, and all answers have equally many tokens", "[unit]") {
  for (const char* name : {"bare", "unigram", "no-prefix-new"}) {
    CAPTURE(name);
    const Tokenizer tok = small_tokenizer(name);
    const FactDesign design = design_facts(tok, kText, {24, 4, 0, 11});
    std::set<std::string> names;
    for (const FactNames& of_kind : design.names)
      for (const auto* list : {&of_kind.planted, &of_kind.unplanted})
        for (const std::string& answer : *list) {
          CHECK(names.insert(answer).second);
          const std::vector<std::int64_t> ids = ids_behind_sentence(tok, fact_answer(answer));
          CHECK(std::int64_t(ids.size()) == design.answer_tokens);
          // As it is planted: a full stop behind it changes none of them.
          const std::vector<std::int64_t> ended = ids_behind_sentence(tok, fact_answer(answer) + ".");
          REQUIRE(ended.size() > ids.size());
          CHECK(std::equal(ids.begin(), ids.end(), ended.begin()));
          CHECK(std::count(answer.begin(), answer.end(), ' ') == 1);
        }
    CHECK(names.size() == 48);
  }
  // A text that has a name's words gives other names.
  const Tokenizer tok = small_tokenizer();
  const std::string first = design_facts(tok, kText, {24, 4, 0, 3}).names[0].planted[0];
  std::string word = first.substr(0, first.find(' '));
  word[0] = char(word[0] - 'A' + 'a');
  const FactDesign other = design_facts(tok, kText + " They were un" + word + "able.", {24, 4, 0, 3});
  for (const FactNames& of_kind : other.names)
    for (const auto* list : {&of_kind.planted, &of_kind.unplanted})
      for (const std::string& answer : *list)
        CHECK(lower_words(answer)[0] != word);
}

TEST_CASE("design_facts: the seed decides, and nothing else does", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  const FactDesign a = design_facts(tok, kText, {24, 4, 0, 5}), b = design_facts(tok, kText, {24, 4, 0, 5}),
                   c = design_facts(tok, kText, {24, 4, 0, 6});
  CHECK(a.names[0].planted == b.names[0].planted);
  CHECK(a.facts[3].subject == b.facts[3].subject);
  CHECK(a.facts[3].answer == b.facts[3].answer);
  CHECK(a.names[0].planted != c.names[0].planted);
  std::set<std::size_t> first_answers;
  for (std::uint64_t seed = 0; seed < 12; ++seed)
    first_answers.insert(design_facts(tok, kText, {24, 4, 0, seed}).facts[0].answer);
  CHECK(first_answers.size() > 3);
}

TEST_CASE("design_facts: answers of few tokens are refused where the tokenizer has none", "[unit]") {
  const Tokenizer tok = small_tokenizer();
  try {
    design_facts(tok, kText, {24, 4, 1, 5});
    FAIL("names of one token");
  } catch (const Error& error) {
    CHECK(error.exit_code() == Exit::bad_input);
    CHECK(std::string(error.what()).find("recall.answer_tokens") != std::string::npos);
    CHECK(std::string(error.what()).find("48") != std::string::npos);
  }
}

TEST_CASE("facts: a sentence is its question, the answer and a full stop", "[unit]") {
  const FactDesign design = design_facts(small_tokenizer(), kText, {24, 4, 0, 5});
  for (const Fact& fact : design.facts) {
    std::set<std::string> questions;
    for (const FactForm form : {FactForm::planted, FactForm::first_paraphrase, FactForm::second_paraphrase,
                                FactForm::correction}) {
      const std::string question = fact_question(fact, form);
      CHECK(question.find(fact.subject) != std::string::npos);
      CHECK(question.front() == ' ');
      CHECK(question.back() != ' ');
      CHECK(questions.insert(question).second);
      CHECK(fact_sentence(fact, form, "Sarn Dovel") == question + " Sarn Dovel.");
    }
  }
}

TEST_CASE("Passages: the one that shares most words before the end, in any script, and none without a word", "[unit]") {
  Book book;
  for (const std::string part :
       {"the cat ", "a dog, ", "\u732b\u5728\u5bb6\u3002", "\u72d7\u5728\u5bb6\u3002", "The Cat ", "end"}) {
    book.tokens.push_back(std::int64_t(book.tokens.size()));
    book.text += part;
    book.ends.push_back(book.text.size());
  }
  const Passages passages(book, 1);
  CHECK(passages.best("\u201cCat\u201d!", 6) == 0);  // the earlier one of equals
  CHECK(passages.best("dog", 6) == 1);
  CHECK(passages.best("\u72d7", 6) == 3);
  CHECK(passages.best("\u72d7", 3) == std::nullopt);  // it stands behind the end
  CHECK(passages.best("\u3002 , .", 6) == std::nullopt);
  CHECK(passages.best("cat", 0) == std::nullopt);
  CHECK(lower_words("It\u2019s \u00c9mile\u2014\u732b\u72d7 42") ==
        std::vector<std::string>{"it", "s", "\u00c9mile", "\u732b", "\u72d7", "42"});
}

TEST_CASE("Bm25: rare words count more than frequent ones, short passages more than long ones", "[unit]") {
  Bm25 index;
  index.add("the cat sat on the mat");
  index.add("the dog sat on the log, and the dog slept on the log until the evening came over the hills");
  index.add("a dog");
  CHECK(index.size() == 3);
  CHECK(index.best("Where did the CAT sit?", 3) == 0);
  CHECK(index.best("dog", 3) == 2);
  CHECK(index.best("dog", 2) == 1);             // the third is not there yet
  CHECK(index.best("nothing of it", 3) == 0);   // the first of equals
  // By hand: N 3, n 1, idf ln(1 + 2.5 / 1.5); length 6 of a mean of 28 / 3.
  const double length = 6.0 / ((6 + 20 + 2) / 3.0);
  CHECK(index.scores("cat", 3)[0] == Approx(std::log(1 + 2.5 / 1.5) * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length))));
  CHECK(index.scores("cat", 3)[1] == 0);
  CHECK(lower_words("It's 3 o'clock, caf\u00e9!") ==
        std::vector<std::string>{"it", "s", "3", "o", "clock", "caf\u00e9"});
}
