#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "experiment/phase_timer.h"
#include "generate/decoder.h"
#include "generate/prompt_cache.h"
#include "model/llama.h"

namespace templora {

/// A prompt and the reference that it is scored against.
struct SentenceTask {
  std::vector<std::int64_t> prompt;     ///< at least one id
  std::vector<std::int64_t> reference;
};

/// What a model made of a task.
struct SentenceAnswer {
  std::vector<std::int64_t> ids;  ///< as generated, a stop token included
  bool stopped = false;           ///< met a stop before the longest length
  std::int64_t read_tokens = 0;   ///< of the prompt, computed for this task and not taken from another's
  at::Tensor nll;                 ///< [reference tokens], nats, on the model's device; undefined where there are none
};

/// A cache for answer(): of `sentences` tasks at most.
PromptCache sentence_cache(const LlamaImpl& model, std::int64_t sentences);

/// Scores each task's reference and generates a continuation of each prompt, the tasks as one batch. What prompts
/// share, in this batch and with the last prompt of the one before, is computed once, and scoring and generation share
/// the prompt's keys and values. `read`: for the adapter that is attached. `streams`: one a task, for sampling. Phases
/// `<who>_prefill`, `_score` and `_decode` are marked on `timer`. → one answer a task, or nothing where
/// options.interrupted said so.
std::optional<std::vector<SentenceAnswer>> answer(LlamaImpl& model, PromptCache& read,
                                                  const std::vector<SentenceTask>& tasks, const DecodeOptions& options,
                                                  SamplingStreams streams, PhaseTimer& timer, const std::string& who);

}  // namespace templora
