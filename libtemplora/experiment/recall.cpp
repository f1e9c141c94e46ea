#include "experiment/recall.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "config/config_rules.h"
#include "config/lengths.h"
#include "core/check.h"
#include "core/error.h"
#include "core/utf8.h"
#include "experiment/chunk_values.h"
#include "metrics/recall.h"
#include "plan/document_plan.h"
#include "run/record.h"

namespace templora {
namespace {

/// Where facts are said for the last time; −1 of those that are never asked for.
std::vector<std::int64_t> last_ends(const Planting& planting) {
  std::vector<std::int64_t> ends;
  for (std::size_t f = 0; f < planting.mentions.size(); ++f)
    ends.push_back(planting.design.facts[f].asked ? planting.mentions[f].back().end_token : -1);
  return ends;
}

double sum_of(const std::vector<float>& nll) { return std::accumulate(nll.begin(), nll.end(), 0.0); }

/// Where an answer that was written ends: at a mark or an empty line; npos where it may go on. A line's end does not
/// end it: books of wrapped lines teach a model to break them anywhere.
std::size_t answer_end(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \n");
  if (first == text.npos) return first;
  return std::min(text.find_first_of(".,;:!?\"()", first), text.find("\n\n", first));
}

}  // namespace

std::vector<FactRecord> fact_records(const Planting& planting, const std::string& book, std::int64_t book_index) {
  std::vector<FactRecord> records;
  for (std::size_t f = 0; f < planting.design.facts.size(); ++f) {
    const Fact& fact = planting.design.facts[f];
    const FactNames& names = planting.design.names_of(fact);
    FactRecord record;
    record.book = book;
    record.book_index = book_index;
    record.fact = std::int64_t(f);
    record.kind = fact_kind_name(fact.kind);
    record.asked = fact.asked;
    record.times = fact.times;
    record.subject = fact.subject;
    record.sentence = fact_sentence(fact, FactForm::planted, names.planted[fact.answer]);
    record.answer = names.planted[fact.right_answer()];
    record.answer_index = std::int64_t(fact.right_answer());
    if (fact.corrected) record.first_answer = std::int64_t(fact.answer);
    record.unplanted = names.unplanted[fact.right_answer()];
    for (const Mention& mention : planting.mentions[f])
      record.mentions.emplace_back(mention.first_token, mention.end_token);
    records.push_back(std::move(record));
  }
  return records;
}

struct BookRecall::Asking {
  Completer& completer;
  std::string arm;
  std::int64_t version, chunk;
  std::vector<ProbeRecord>& records;
};

BookRecall::BookRecall(const Config& config, const Tokenizer& tokenizer, const Book& book, const Planting& planting,
                       std::int64_t book_index)
    : config_(config),
      tokenizer_(tokenizer),
      book_(book),
      planting_(planting),
      book_index_(book_index),
      window_tokens_(context_tokens(config)),
      chunks_(DocumentPlan(config, std::int64_t(book.tokens.size())).chunks()),
      plan_(config, chunks_, last_ends(planting)),
      full_stop_(ids_behind_sentence(tokenizer, ".")),
      passages_(book, std::max<std::int64_t>(1, std::min(config.window.chunk_tokens, window_tokens_ / 2))) {
  for (const Fact& fact : planting.design.facts) {
    if (!fact.asked) break;  // these come first
    const FactNames& names = planting.design.names_of(fact);
    const auto question = [&](FactForm form) { return ids_behind_sentence(tokenizer, fact_question(fact, form)); };
    Question& q = questions_.emplace_back();
    q.planted = question(FactForm::planted);
    q.paraphrases[0] = question(FactForm::first_paraphrase);
    q.paraphrases[1] = question(FactForm::second_paraphrase);
    const auto add_answer = [&](const std::string& name) {
      q.answers.push_back(ids_behind_sentence(tokenizer, fact_answer(name)));
    };
    for (const std::string& name : names.planted) add_answer(name);
    add_answer(names.unplanted[fact.right_answer()]);
    std::string said = fact_sentence(fact, FactForm::planted, names.planted[fact.answer]);
    if (fact.corrected) said += fact_sentence(fact, FactForm::correction, names.planted[fact.corrected_answer]);
    q.said = ids_behind_sentence(tokenizer, said);
    longest_said_ = std::max(longest_said_, std::int64_t(q.said.size()));
  }
  for (const std::string& sentence : unrelated_sentences())
    unrelated_.push_back(ids_behind_sentence(tokenizer, sentence));
  if (window_tokens_ <= longest_said_ + 1)
    throw Error(Exit::usage,
                fmt::format("window.context_tokens: got {}, wanted more than {} beside recall.facts: a planted "
                            "sentence has to fit into the window for what could be known at best",
                            window_tokens_, longest_said_ + 1));
}

std::int64_t BookRecall::longest_tokens() const {
  std::int64_t longest = 0;
  const auto take = [&](const TokenIds& question, std::int64_t answer) {
    longest = std::max(longest, std::int64_t(question.size()) + answer);
  };
  for (const Question& q : questions_)
    for (const TokenIds* question : {&q.planted, &q.paraphrases[0], &q.paraphrases[1]})
      take(*question, std::max(planting_.design.answer_tokens, config_.recall.answer_tokens));
  for (const TokenIds& sentence : unrelated_) take(sentence, 0);
  return longest + std::int64_t(full_stop_.size());
}

TokenIds BookRecall::window(std::int64_t end, std::int64_t length) const {
  const std::int64_t first = std::max<std::int64_t>(0, end - length);
  return {book_.tokens.begin() + first, book_.tokens.begin() + end};
}

std::int64_t BookRecall::depth_of(std::int64_t end, std::size_t fact, std::int64_t distance) const {
  const std::int64_t first = end - (window_tokens_ - longest_said_);
  std::mt19937_64 random(adapter_seed(config_.seed, book_index_, std::int64_t(fact) * 1'000'003 + distance));
  const auto& gaps = planting_.gaps;
  const auto low = std::upper_bound(gaps.begin(), gaps.end(), first), high = std::upper_bound(low, gaps.end(), end);
  if (low == high) return first + 1 + std::int64_t(random() % std::uint64_t(end - first));
  return low[std::ptrdiff_t(random() % std::uint64_t(high - low))];
}

// Windows with facts in them all begin at one token, so that they share keys and values up to the first one's.
TokenIds BookRecall::window_with_fact(std::int64_t end, std::size_t fact, std::int64_t distance) const {
  TokenIds tokens = window(end, window_tokens_ - longest_said_);
  const std::int64_t depth = depth_of(end, fact, distance);
  tokens.insert(tokens.end() - (end - depth), questions_[fact].said.begin(), questions_[fact].said.end());
  return tokens;
}

// The passage stands last: the tokens before it are the same for all questions of a point.
TokenIds BookRecall::window_with_passage(std::int64_t end, std::size_t fact) const {
  TokenIds tokens = window(end, window_tokens_ - passages_.tokens());
  const std::string question = fact_question(planting_.design.facts[fact], FactForm::planted);
  if (const auto first = passages_.best(question, end - window_tokens_)) passages_.append(*first, tokens);
  return tokens;
}

void BookRecall::add(ProbeRecord record, const char* rung, const std::vector<double>& answers, std::size_t right,
                     Asking& asking) const {
  record.rung = rung;
  record.nll = answers[right];
  record.tokens = planting_.design.answer_tokens;
  record.rank = rank_of(answers, right);
  record.of = std::int64_t(answers.size());
  record.correct = *record.rank == 1;
  record.answers_nll = answers;
  asking.records.push_back(std::move(record));
}

void BookRecall::ask_fact(const AskedFact& asked, Asking& asking) const {
  const Fact& fact = planting_.design.facts[asked.fact];
  const Question& question = questions_[asked.fact];
  const std::size_t right = fact.right_answer();
  ProbeRecord record;
  record.book_index = book_index_;
  record.fact = std::int64_t(asked.fact);
  record.arm = asking.arm;
  record.distance_tokens = asked.distance_tokens;
  record.tokens_since = asked.tokens_since;
  record.chunk = asking.chunk;
  record.adapter_version = asking.version;

  const AnswerScores planted = asking.completer.score(question.planted, question.answers);
  std::vector<double> sums;
  for (const std::vector<float>& nll : planted.answers) sums.push_back(sum_of(nll));
  const std::vector<double> of_kind(sums.begin(), sums.begin() + kFactAnswers);
  if (fact.corrected) return add(record, "conflict", of_kind, right, asking);

  ProbeRecord repeated = record;
  repeated.rung = "repeat";
  repeated.nll = sum_of(planted.question) + sums[right];
  repeated.tokens = std::int64_t(question.planted.size() + question.answers[right].size());
  asking.records.push_back(std::move(repeated));
  add(record, "choice", of_kind, right, asking);
  const std::vector<TokenIds> eight(question.answers.begin(), question.answers.begin() + kFactAnswers);
  for (std::size_t p = 0; p < kParaphrases; ++p) {
    const AnswerScores scores = asking.completer.score(question.paraphrases[p], eight);
    std::vector<double> nll;
    for (const std::vector<float>& answer : scores.answers) nll.push_back(sum_of(answer));
    add(record, p == 0 ? "paraphrase_1" : "paraphrase_2", nll, right, asking);
  }
  add(record, "familiar", {sums[right], sums.back()}, 0, asking);

  const std::int64_t most = config_.recall.answer_tokens;
  if (most == 0) return;
  const auto text_of = [&](const TokenIds& ids) { return tokenizer_.decode(ids, true); };
  const auto ended = [&](const TokenIds& ids) {
    const std::string text = text_of(ids);
    return answer_end(text) != text.npos;
  };
  const std::string text = text_of(asking.completer.write(question.planted, most, ended));
  const std::string written(strip(std::string_view(text).substr(0, answer_end(text))));
  const std::string& answer = planting_.design.names_of(fact).planted[right];
  record.rung = "greedy";
  record.nll = sums[right];
  record.tokens = planting_.design.answer_tokens;
  record.correct = lower_words(written) == lower_words(answer);
  record.f1 = word_f1(lower_words(written), lower_words(answer));
  record.written = written;
  asking.records.push_back(std::move(record));
}

// Once a point, however many facts are asked there.
void BookRecall::ask_unrelated(Asking& asking) const {
  for (std::size_t i = 0; i < unrelated_.size(); ++i) {
    ProbeRecord record;
    record.book_index = book_index_;
    record.fact = std::int64_t(i);
    record.rung = "locality";
    record.arm = asking.arm;
    record.chunk = asking.chunk;
    record.adapter_version = asking.version;
    record.nll = sum_of(asking.completer.score(unrelated_[i], {}).question);
    record.tokens = std::int64_t(unrelated_[i].size());
    asking.records.push_back(std::move(record));
  }
}

std::vector<ProbeRecord> BookRecall::ask(std::int64_t chunk, const LendAdapters& lend, Completer& completer) const {
  std::vector<ProbeRecord> records;
  const std::vector<AskedFact>& facts = plan_.after(chunk);
  if (facts.empty()) return records;
  const std::int64_t end = chunks_[std::size_t(chunk)].end();
  const auto see = [&](TokenIds tokens) {
    tokens.insert(tokens.end(), full_stop_.begin(), full_stop_.end());
    completer.see(tokens);
  };
  lend([&](const std::string& arm, std::int64_t version) {
    completer.forget();
    Asking asking{completer, arm, version, chunk, records};
    see(window(end, window_tokens_));
    for (const AskedFact& fact : facts) ask_fact(fact, asking);
    ask_unrelated(asking);
    if (arm != arm_name(Arm::base)) return;
    // Deep in the window first: what comes before a fact is then there for the next one.
    std::vector<AskedFact> by_depth = facts;
    std::stable_sort(by_depth.begin(), by_depth.end(), [&](const AskedFact& a, const AskedFact& b) {
      return depth_of(end, a.fact, a.distance_tokens) > depth_of(end, b.fact, b.distance_tokens);
    });
    asking.arm = kInWindow;
    for (const AskedFact& fact : by_depth) {
      see(window_with_fact(end, fact.fact, fact.distance_tokens));
      ask_fact(fact, asking);
    }
    asking.arm = kBm25;
    for (const AskedFact& fact : facts) {
      see(window_with_passage(end, fact.fact));
      ask_fact(fact, asking);
    }
  });
  return records;
}

}  // namespace templora
