#include "experiment/sentence_batch.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "core/check.h"
#include "cost/cost.h"
#include "generate/score.h"

namespace templora {
namespace {

constexpr std::int64_t kSlotStep = 256;

/// Slots that the longest task fills.
std::int64_t longest(const std::vector<SentenceTask>& tasks, const DecodeOptions& options) {
  std::int64_t slots = 0;
  for (const SentenceTask& task : tasks)
    slots = std::max(slots, std::int64_t(task.prompt.size()) +
                                std::max(options.max_new_tokens, std::int64_t(task.reference.size())));
  return slots;
}

/// Each prompt's last id, which the prefill left out, and its reference.
std::vector<Append> references_of(const std::vector<SentenceTask>& tasks) {
  std::vector<Append> texts;
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (tasks[i].reference.empty()) continue;
    Append text{std::int64_t(i), {tasks[i].prompt.back()}};
    text.tokens.insert(text.tokens.end(), tasks[i].reference.begin(), tasks[i].reference.end());
    texts.push_back(std::move(text));
  }
  return texts;
}

}  // namespace

PromptCache sentence_cache(const LlamaImpl& model, std::int64_t sentences) {
  return {model, {.sequences = std::max<std::int64_t>(sentences, 1), .capacity = 1, .block_tokens = kTranslationBlock}};
}

std::optional<std::vector<SentenceAnswer>> answer(LlamaImpl& model, PromptCache& read,
                                                  const std::vector<SentenceTask>& tasks, const DecodeOptions& options,
                                                  SamplingStreams streams, PhaseTimer& timer, const std::string& who) {
  std::vector<SentenceAnswer> answers(tasks.size());
  TEMPLORA_CHECK(streams.drawn().size() == tasks.size(), "one stream a task");
  if (tasks.empty()) return answers;
  const at::NoGradGuard no_grad;
  std::vector<std::vector<std::int64_t>> prompts;
  for (const SentenceTask& task : tasks) {
    TEMPLORA_CHECK(!task.prompt.empty(), "a prompt without a token");
    prompts.push_back(task.prompt);
  }
  KvCache& cache = read.cache();
  // With a model's own history each prompt is a line longer than the last: not for each are buffers to be made anew.
  const std::int64_t slots = longest(tasks, options), rounded = (slots + kSlotStep - 1) / kSlotStep * kSlotStep;
  cache.reserve(cache.can_reserve() ? rounded : slots);
  const auto computed = read.read(model, prompts, options.version, options.interrupted);
  if (!computed) return {};
  for (std::size_t i = 0; i < tasks.size(); ++i) answers[i].read_tokens = (*computed)[i];
  timer.mark(who + "_prefill");

  const std::vector<Append> references = references_of(tasks);
  if (!references.empty()) {
    const std::vector<at::Tensor> scored = score(model, cache, references, options.version);
    for (std::size_t r = 0; r < references.size(); ++r) {
      const std::int64_t sequence = references[r].sequence;
      answers[std::size_t(sequence)].nll = scored[r];
      cache.truncate(sequence, std::int64_t(prompts[std::size_t(sequence)].size()) - 1);
    }
  }
  timer.mark(who + "_score");

  const std::vector<Decoded> decoded = decode(model, cache, prompts, options, streams);
  for (std::size_t i = 0; i < tasks.size(); ++i) {
    if (decoded[i].finish == Finish::interrupted) return {};
    answers[i].ids = decoded[i].tokens;
    answers[i].stopped = decoded[i].finish != Finish::length;
  }
  timer.mark(who + "_decode");
  return answers;
}

}  // namespace templora
