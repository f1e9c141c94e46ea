#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace templora {

/// What is said of an invented person: where he was born, who taught him his trade, how his ring is called.
enum class FactKind { place, trade, object };
inline constexpr std::array kFactKinds{FactKind::place, FactKind::trade, FactKind::object};
const char* fact_kind_name(FactKind kind);  ///< "place", "trade", "object"

inline constexpr std::size_t kFactAnswers = 8;  ///< of a kind, all planted equally often: chance is one in so many
/// A number of facts has to be a multiple of it: each answer of each kind as often as any other.
inline constexpr std::int64_t kFactsMultiple = std::int64_t(kFactKinds.size() * kFactAnswers);
inline constexpr std::size_t kParaphrases = 2;

/// How many facts of which lengths are made of which seed.
struct FactOptions {
  std::int64_t facts = kFactsMultiple;  ///< that are asked; a multiple of kFactsMultiple
  std::int64_t repeats = 4;             ///< sentences of the second half of them
  std::int64_t answer_tokens = 0;       ///< most tokens of an answer; 0: any number
  std::uint64_t seed = 0;
};

/// One fact: sentences that share a subject and, unless it is corrected, an answer.
struct Fact {
  FactKind kind = FactKind::place;
  std::string subject;
  std::size_t answer = 0;          ///< index into its kind's answers, which the first sentence gives
  std::int64_t times = 1;          ///< sentences, without the correction
  bool asked = true;               ///< false: it only makes its answer as frequent as the others
  bool corrected = false;          ///< a later sentence says that the answer is another one:
  std::size_t corrected_answer = 0;
  /// What is right in the end.
  std::size_t right_answer() const { return corrected ? corrected_answer : answer; }
};

/// The names of a kind; those at one index are a pair of which chance planted one.
struct FactNames {
  std::array<std::string, kFactAnswers> planted, unplanted;
};

/// All facts of a book: those that are asked first, then the corrected ones, then those that only fill up.
struct FactDesign {
  std::array<FactNames, kFactKinds.size()> names;  ///< by kind
  std::vector<Fact> facts;
  std::int64_t answer_tokens = 0;  ///< of every answer and every unplanted name

  const FactNames& names_of(const Fact& fact) const { return names[std::size_t(fact.kind)]; }
};

/// Invents facts for a text. Names are two made-up words that do not occur in it, and all answers have equally many
/// tokens. Of the asked facts of a kind half have one sentence, half `repeats`. Answers that would be planted less
/// often than others get further sentences about other subjects, which are not asked for; the first of these, two a
/// kind where there are enough, become facts that a later sentence corrects. All that is chance follows from the seed.
/// Throws Error(bad_input) where no names of one length can be found.
FactDesign design_facts(const Tokenizer& tokenizer, std::string_view text, const FactOptions& options);

/// How a fact can be said: as it is planted, in words that are never planted, and as a correction.
enum class FactForm { planted, first_paraphrase, second_paraphrase, correction };

/// The beginning of a sentence whose end is the answer: " Torva Melid was born in the village of".
std::string fact_question(const Fact& fact, FactForm form);
/// The answer behind it: " Sarn Dovel".
std::string fact_answer(const std::string& name);
/// The whole sentence, with the space in front of it.
std::string fact_sentence(const Fact& fact, FactForm form, const std::string& name);

/// Sentences that have nothing to do with any fact, some of which many models know.
const std::vector<std::string>& unrelated_sentences();

/// Tokens of `text` where it follows a sentence, as encoding both at once gives them.
std::vector<std::int64_t> ids_behind_sentence(const Tokenizer& tokenizer, std::string_view text);

}  // namespace templora
