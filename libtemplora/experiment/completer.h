#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "generate/prompt_cache.h"
#include "model/llama.h"

namespace templora {

using TokenIds = std::vector<std::int64_t>;

/// NLLs of a question and of answers to it, nats, one a token.
struct AnswerScores {
  std::vector<float> question;
  std::vector<std::vector<float>> answers;
};

/// What answers questions behind a text: a model, or what a test puts in its place.
class Completer {
 public:
  virtual ~Completer() = default;
  /// The weights are others from now on.
  virtual void forget() = 0;
  /// Everything that follows is asked behind these tokens, of which there is at least one.
  virtual void see(const TokenIds& text) = 0;
  /// Scores a question of at least one token behind the text, and each answer behind the question.
  virtual AnswerScores score(const TokenIds& question, const std::vector<TokenIds>& answers) = 0;
  /// The likeliest tokens behind the question, one by one, up to `most`, or until `ended` says so of those so far.
  virtual TokenIds write(const TokenIds& question, std::int64_t most,
                         const std::function<bool(const TokenIds&)>& ended) = 0;
};

/// A model with whatever adapter is attached. Keys and values of what two texts or two questions begin with are
/// computed once. Nothing of the model is changed, and no random number is drawn.
class ModelCompleter : public Completer {
 public:
  /// `answers`: most answers to one question; `capacity`: most tokens of a text, a question and an answer together.
  /// Throws as KvCache does.
  ModelCompleter(LlamaImpl& model, std::int64_t answers, std::int64_t capacity, std::int64_t block_tokens);

  void forget() override;
  void see(const TokenIds& text) override;
  AnswerScores score(const TokenIds& question, const std::vector<TokenIds>& answers) override;
  TokenIds write(const TokenIds& question, std::int64_t most,
                 const std::function<bool(const TokenIds&)>& ended) override;

 private:
  KvCache& cache() { return read_.cache(); }  // its sequence 0 holds all but the last token of the text
  std::int64_t held() const { return std::int64_t(text_.size()) - 1; }

  LlamaImpl& model_;
  PromptCache read_;
  TokenIds text_;
};

}  // namespace templora
