#include "text/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "core/check.h"
#include "core/error.h"
#include "text/invented_names.h"

namespace templora {
namespace {

using Random = std::mt19937_64;

template <class T>
void shuffle(T& values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random() % i]);
}

/// Whether the answer's tokens are the same at a sentence's end, so that what is planted is what is scored.
bool keeps_tokens(const Tokenizer& tokenizer, const std::string& name, const std::vector<std::int64_t>& ids) {
  const std::vector<std::int64_t> ended = ids_behind_sentence(tokenizer, fact_answer(name) + ".");
  return ended.size() > ids.size() && std::equal(ids.begin(), ids.end(), ended.begin());
}

/// `count` names of equally many tokens: of the length that most names have.
std::vector<std::string> names_of_one_length(const Tokenizer& tokenizer, InventedNames& maker, std::size_t count,
                                             std::int64_t most, std::int64_t& length) {
  constexpr int kTries = 2000;
  std::map<std::int64_t, std::vector<std::string>> by_length;
  for (int i = 0; i < kTries; ++i) {
    const std::string name = maker.name();
    const std::vector<std::int64_t> ids = ids_behind_sentence(tokenizer, fact_answer(name));
    const auto tokens = std::int64_t(ids.size());
    if ((most > 0 && tokens > most) || !keeps_tokens(tokenizer, name, ids)) continue;
    std::vector<std::string>& alike = by_length[tokens];
    alike.push_back(name);
    if (alike.size() < count) continue;
    length = tokens;
    return alike;
  }
  std::string found;
  for (const auto& [tokens, names] : by_length) found += fmt::format(", {} of {} tokens", names.size(), tokens);
  throw Error(Exit::bad_input,
              fmt::format("recall.answer_tokens: wanted {} invented names of equally many tokens, {}; got too few{}, "
                          "of {} tried with {}; raise recall.answer_tokens",
                          count, most > 0 ? fmt::format("at most {}", most) : "any number", found, kTries,
                          tokenizer.source()));
}

/// Facts of one kind: those that are asked.
std::vector<Fact> asked_facts(FactKind kind, const FactOptions& options, InventedNames& maker, Random& random) {
  const auto count = std::size_t(options.facts) / kFactKinds.size();
  std::array<std::size_t, kFactAnswers> order;
  for (std::size_t i = 0; i < kFactAnswers; ++i) order[i] = i;
  shuffle(order, random);
  std::vector<Fact> facts;
  for (std::size_t i = 0; i < count; ++i) {
    Fact fact;
    fact.kind = kind;
    fact.subject = maker.name();
    fact.answer = order[i % kFactAnswers];
    fact.times = i < count / 2 ? 1 : options.repeats;
    facts.push_back(std::move(fact));
  }
  return facts;
}

/// One sentence for each that an answer lacks of what the most frequent one has. The first few pairs of them are one
/// subject's: said first, then corrected.
void add_fillers(FactKind kind, const std::vector<Fact>& asked, InventedNames& maker, Random& random,
                 std::vector<Fact>& corrected, std::vector<Fact>& fillers) {
  constexpr std::size_t kCorrected = 2;
  std::array<std::int64_t, kFactAnswers> times{};
  for (const Fact& fact : asked) times[fact.answer] += fact.times;
  const std::int64_t most = *std::max_element(times.begin(), times.end());
  std::vector<std::size_t> lacking;  // answers, the next one before the same one again
  for (std::int64_t round = 0; round < most; ++round) {
    std::vector<std::size_t> answers;
    for (std::size_t a = 0; a < kFactAnswers; ++a)
      if (round < most - times[a]) answers.push_back(a);
    shuffle(answers, random);
    lacking.insert(lacking.end(), answers.begin(), answers.end());
  }
  std::size_t at = 0;
  for (std::size_t i = 0; i < kCorrected; ++i) {
    if (at + 1 >= lacking.size() || lacking[at] == lacking[at + 1]) break;
    Fact fact{kind, maker.name(), lacking[at], 1, true, true, lacking[at + 1]};
    corrected.push_back(std::move(fact));
    at += 2;
  }
  for (; at < lacking.size(); ++at) fillers.push_back({kind, maker.name(), lacking[at], 1, false, false, 0});
}

/// "{}" is the subject.
const char* question_form(FactKind kind, FactForm form) {
  static constexpr const char* kForms[kFactKinds.size()][4] = {
      {" {} was born in the village of", " The village where {} first saw the light of day is called",
       " People who knew {} from childhood had met in the village of",
       " It was found out later that {} was really born in the village of"},
      {" {} learned the baker's trade from old", " The baker who taught {} everything was old",
       " As for baking, {} had been the apprentice of old",
       " It was found out later that {} really learned the baker's trade from old"},
      {" {} always wore the silver ring called", " The silver ring on the finger of {} bears the name",
       " Of all rings {} wanted only the silver one, whose name was",
       " It was found out later that {} always wore another silver ring, called"}};
  return kForms[std::size_t(kind)][std::size_t(form)];
}

}  // namespace

const char* fact_kind_name(FactKind kind) {
  static constexpr const char* kNames[kFactKinds.size()] = {"place", "trade", "object"};
  return kNames[std::size_t(kind)];
}

FactDesign design_facts(const Tokenizer& tokenizer, std::string_view text, const FactOptions& options) {
  TEMPLORA_CHECK(options.facts > 0 && options.facts % kFactsMultiple == 0 && options.repeats > 0,
                 "facts are planted equally often");
  Random random(options.seed);
  InventedNames maker(text, random);
  FactDesign design;
  const std::vector<std::string> names = names_of_one_length(
      tokenizer, maker, 2 * kFactKinds.size() * kFactAnswers, options.answer_tokens, design.answer_tokens);
  std::size_t next = 0;
  for (FactNames& of_kind : design.names)
    for (std::size_t i = 0; i < kFactAnswers; ++i) {
      of_kind.planted[i] = names[next++];
      of_kind.unplanted[i] = names[next++];
      if (random() % 2 == 0) std::swap(of_kind.planted[i], of_kind.unplanted[i]);
    }
  std::vector<Fact> corrected, fillers;
  for (const FactKind kind : kFactKinds) {
    const std::vector<Fact> asked = asked_facts(kind, options, maker, random);
    add_fillers(kind, asked, maker, random, corrected, fillers);
    design.facts.insert(design.facts.end(), asked.begin(), asked.end());
  }
  design.facts.insert(design.facts.end(), corrected.begin(), corrected.end());
  design.facts.insert(design.facts.end(), fillers.begin(), fillers.end());
  return design;
}

std::string fact_question(const Fact& fact, FactForm form) {
  return fmt::format(fmt::runtime(question_form(fact.kind, form)), fact.subject);
}

std::string fact_answer(const std::string& name) { return " " + name; }

std::string fact_sentence(const Fact& fact, FactForm form, const std::string& name) {
  return fact_question(fact, form) + fact_answer(name) + ".";
}

const std::vector<std::string>& unrelated_sentences() {
  static const std::vector<std::string> sentences{
      " The capital of France is the city of Paris.",       " The sun rises in the east and sets in the west.",
      " Two and two make four.",                             " A week has seven days, and a year has twelve months.",
      " The river was frozen, and the children went skating.", " She put the letter into the drawer and locked it.",
      " In the beginning God created the heaven and the earth.", " He opened the window, for the room was very hot."};
  return sentences;
}

std::vector<std::int64_t> ids_behind_sentence(const Tokenizer& tokenizer, std::string_view text) {
  static constexpr std::string_view kBefore = "It was late.";
  const EncodedText encoded = tokenizer.encode_with_ends(std::string(kBefore) + std::string(text), false);
  std::size_t first = 0;
  while (first < encoded.ids.size() && encoded.ends[first] <= kBefore.size()) ++first;
  return {encoded.ids.begin() + std::ptrdiff_t(first), encoded.ids.end()};
}

}  // namespace templora
