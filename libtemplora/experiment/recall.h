#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "config/config.h"
#include "experiment/completer.h"
#include "experiment/run_book.h"
#include "plan/recall_plan.h"
#include "run/recall_record.h"
#include "text/passages.h"
#include "text/planting.h"

namespace templora {

/// The lines of facts.jsonl of a book.
std::vector<FactRecord> fact_records(const Planting& planting, const std::string& book, std::int64_t book_index);

/// Calls its argument for the base model ("base") and for each adapter that there is, while that is attached: arm and
/// version.
using LendAdapters = std::function<void(const std::function<void(const std::string& arm, std::int64_t version)>&)>;

/// Asks for the facts of one book. Every question stands behind the last L_X tokens of what was read, and a full stop;
/// all questions of a point share their keys and values. The base is also asked with the fact's own sentence somewhere
/// in the window ("in_window"), and with the passage there that BM25 finds among those out of sight ("bm25"): what
/// could be known. docs/recall.md has the rungs.
class BookRecall {
 public:
  /// Book and planting must outlive it. Throws Error(usage) where L_X has no room for a fact and a passage.
  BookRecall(const Config& config, const Tokenizer& tokenizer, const Book& book, const Planting& planting,
             std::int64_t book_index);

  /// Everything that is to be asked once chunk `chunk` was learnt, in the order of the arms, then of the plan.
  std::vector<ProbeRecord> ask(std::int64_t chunk, const LendAdapters& lend, Completer& completer) const;
  const RecallPlan& plan() const { return plan_; }

  /// Most tokens that a question and an answer to it have behind the window.
  std::int64_t longest_tokens() const;
  /// Most answers to one question: the planted ones and an unplanted one.
  static constexpr std::int64_t kMostAnswers = std::int64_t(kFactAnswers) + 1;

 private:
  struct Question {
    TokenIds planted, paraphrases[kParaphrases];
    std::vector<TokenIds> answers;  // the eight planted ones of the kind, then the unplanted partner of the right one
    TokenIds said;                  // all that was said of the fact, each sentence once
  };
  struct Asking;  // what all questions of an arm at a point share

  TokenIds window(std::int64_t end, std::int64_t length) const;
  TokenIds window_with_fact(std::int64_t end, std::size_t fact, std::int64_t distance) const;
  TokenIds window_with_passage(std::int64_t end, std::size_t fact) const;
  void ask_fact(const AskedFact& asked, Asking& asking) const;
  void ask_unrelated(Asking& asking) const;
  void add(ProbeRecord record, const char* rung, const std::vector<double>& answers, std::size_t right,
           Asking& asking) const;
  std::int64_t depth_of(std::int64_t end, std::size_t fact, std::int64_t distance) const;

  const Config& config_;
  const Tokenizer& tokenizer_;
  const Book& book_;
  const Planting& planting_;
  std::int64_t book_index_, window_tokens_, longest_said_ = 0;
  std::vector<Chunk> chunks_;
  RecallPlan plan_;
  std::vector<Question> questions_;  // of the facts that are asked
  std::vector<TokenIds> unrelated_;
  TokenIds full_stop_;
  Passages passages_;
};

}  // namespace templora
