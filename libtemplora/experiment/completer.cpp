#include "experiment/completer.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/check.h"
#include "experiment/chunk_values.h"
#include "generate/decoder.h"
#include "generate/score.h"

namespace templora {

ModelCompleter::ModelCompleter(LlamaImpl& model, std::int64_t answers, std::int64_t capacity, std::int64_t block_tokens)
    : model_(model),
      read_(model, {std::max<std::int64_t>(1, answers), capacity, false, block_tokens}) {}

void ModelCompleter::forget() {
  read_.forget();
  text_.clear();
}

void ModelCompleter::see(const TokenIds& text) {
  TEMPLORA_CHECK(!text.empty(), "a question follows a text");
  read_.read(model_, {text}, 0);
  text_ = text;
}

AnswerScores ModelCompleter::score(const TokenIds& question, const std::vector<TokenIds>& answers) {
  TEMPLORA_CHECK(!question.empty() && std::int64_t(answers.size()) <= cache().sequences(),
                 "a sequence for each answer");
  const at::NoGradGuard no_grad;
  const at::Device device = model_.options().device();
  TokenIds fed{text_.back()};
  fed.insert(fed.end(), question.begin(), question.end() - 1);
  const at::Tensor rows = cache().append(model_, {{0, fed}}, Rows::all, 0);  // [question, hidden]
  AnswerScores scores;
  scores.question = read_back(row_nll(model_, rows, ids_on(device, question)));

  if (!answers.empty()) {
    const std::int64_t asked = cache().length(0);
    std::vector<Append> appends;
    TokenIds targets;
    for (std::size_t i = 0; i < answers.size(); ++i) {
      const auto sequence = std::int64_t(i);
      if (i > 0) cache().copy_prefix(0, sequence, asked);
      TokenIds tokens{question.back()};
      tokens.insert(tokens.end(), answers[i].begin(), answers[i].end() - 1);
      appends.push_back({sequence, std::move(tokens)});
      targets.insert(targets.end(), answers[i].begin(), answers[i].end());
    }
    const at::Tensor answer_rows = cache().append(model_, appends, Rows::all, 0);  // [answers' tokens, hidden]
    const std::vector<float> nll = read_back(row_nll(model_, answer_rows, ids_on(device, targets)));
    auto at = nll.begin();
    for (const TokenIds& answer : answers) {
      scores.answers.emplace_back(at, at + std::ptrdiff_t(answer.size()));
      at += std::ptrdiff_t(answer.size());
    }
  }
  cache().truncate(0, held());
  return scores;
}

TokenIds ModelCompleter::write(const TokenIds& question, std::int64_t most,
                               const std::function<bool(const TokenIds&)>& ended) {
  TokenIds prompt = text_;
  prompt.insert(prompt.end(), question.begin(), question.end());
  DecodeOptions options;
  options.max_new_tokens = most;
  options.stop = [&](std::int64_t, const TokenIds& tokens) { return ended(tokens); };
  options.fixed_steps = false;
  SamplingStreams streams(0, 1);
  TokenIds tokens = decode(model_, cache(), {prompt}, options, streams).at(0).tokens;
  cache().truncate(0, held());
  return tokens;
}

}  // namespace templora
