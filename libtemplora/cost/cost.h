#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "config/model_shape.h"
#include "cost/work.h"
#include "plan/cache_plan.h"
#include "plan/chunks.h"

namespace templora {

/// Phases in the order in which a chunk goes through them; the names are those of `seconds` in chunks.jsonl. A
/// translation's have their translator's name in front; a pretraining's gradient is both directions of a batch.
/// prefill, recompute and recompute_base fill a kept cache; with cache.policy "rebuild" a score reads its context
/// itself.
inline constexpr const char* kCostPhases[] = {
    "prompts",     "base_prefill", "base_score",     "base_decode", "lora_prefill",   "lora_score",    "lora_decode",
    "prefill",     "recompute_base", "score_base",     "neural_cache", "bm25",
    "recompute",   "decode",        "score",
    "staleness",   "gradient",       "train_forward",  "train_backward", "optimizer",  "score_controls",
    "train_controls"};

/// Bytes that have to be there at once, by what they are for.
struct MemoryNeed {
  double weights = 0;      ///< of the base model
  double module = 0;       ///< LoRA masters and gradients, controls' included
  double moments = 0;      ///< of the optimizer
  double cache = 0;        ///< keys and values kept from chunk to chunk
  double activations = 0;  ///< the larger of what training keeps for its backward pass and what scoring needs at once
  double logits = 0;       ///< of the labelled rows, with their float32 copies and gradient
  double total() const { return weights + module + moments + cache + activations + logits; }
};

/// What a run will do, or one of its documents.
struct CostPrediction {
  std::map<std::string, Work> phases;  ///< by kCostPhases
  std::int64_t tokens = 0;             ///< read or written
  std::int64_t chunks = 0;
  std::int64_t optimizer_steps = 0;    ///< of the adapter, without controls
  MemoryNeed memory;
  Work total() const;
};

/// What is known of a run before it starts, or after it ended.
struct CostInput {
  /// Tokens of each document (a book; for generation one text without its prompt; for pretraining all that is read).
  std::vector<std::int64_t> document_tokens;
  std::int64_t prompt_tokens = 1;  ///< generation only
  /// Optimizer steps made after chunk `chunk` of a document, where that depends on data; null: as the config says.
  std::function<std::int64_t(std::size_t document, std::int64_t chunk)> steps_after;
  Execution execution;
  /// Documents begin here: what stands before is taken as read. Only for cache.policy rebuild and last_n.
  std::int64_t first_token = 0;
};

/// FLOPs, bytes and memory of an experiment from its config and the model's sizes alone, chunk by chunk as the program
/// would go through them; docs/cost.md has the formulas. Throws Error(usage) for a translation, whose lengths only its
/// texts tell.
CostPrediction predict_cost(const Config& config, const ModelShape& shape, const CostInput& input);

/// The same per new token, far inside a long document: the mean over whole cycles of the cache policy. tokens is 1,
/// so phases hold the work of one token; chunks and optimizer_steps are 0. lora.reset_every_tokens is taken as 0.
/// Throws Error(usage) where a cycle of a kept cache has more than a million chunks.
CostPrediction cost_per_token(const Config& config, const ModelShape& shape, const Execution& execution = {});

/// The shape that a pretraining config makes, with its tokenizer's vocabulary.
ModelShape pretrain_shape(const PretrainConfig& pretrain, std::int64_t vocab);

/// The shape of the model that a config reads: of its folder, or where that has no config.json the one that cost.shape
/// names. Throws Error(bad_input) where there is neither.
ModelShape model_shape(const Config& config);

/// Memory alone.
MemoryNeed memory_need(const Config& config, const ModelShape& shape);

/// What only a translation's texts tell.
struct TranslationLengths {
  std::int64_t slots = 0;            ///< of the cache: the most sentences at once times the longest of them
  std::int64_t lesson_tokens = 0;    ///< longest training text
  std::int64_t labelled_tokens = 0;  ///< most of them with a loss
};

/// Rows that a translation's cache takes at once.
inline constexpr std::int64_t kTranslationBlock = 512;

MemoryNeed memory_need(const Config& config, const ModelShape& shape, const TranslationLengths& lengths);

/// Everything that is computed for one chunk of a document.
struct PricedChunk {
  std::int64_t tokens = 0;
  Window window{};                   ///< what the score sees and labels
  bool kept = false;                 ///< scored over a kept cache, by the adapter too unless its rows are the chunk's:
  std::vector<CacheStep> recompute;  ///< makes the cache ready
  std::vector<CacheStep> pass;       ///< the chunk's own
  std::vector<CacheStep> fresh;      ///< measures staleness, the last step scores; empty: it is not measured
  Window segment{};                  ///< of a training step
  std::int64_t steps = 0;
  bool shared_forward = false;       ///< the scored pass is the first step's
  std::int64_t states_kept = 0;      ///< in the neural cache before the chunk
  std::vector<Window> replayed;      ///< what further passes of the steps learn of earlier chunks, one a step
};

/// The chunks of document number `document` in order.
std::vector<PricedChunk> priced_chunks(const Config& config, const CostInput& input, std::size_t document);

}  // namespace templora
