// What has to be in memory at once. An estimate of tensors, without the allocator's own waste.

#include <algorithm>

#include "config/lengths.h"
#include "cost/cost.h"

namespace templora {
namespace {

struct Sizes {
  double h, f, d, kv, vocab, element;
  bool repeats_heads, norms_heads;
};

Sizes sizes_of(const Config& config, const ModelShape& shape) {
  return {double(shape.hidden),
          double(shape.ffn),
          double(shape.heads * shape.head_dim),
          double(shape.kv_heads * shape.head_dim),
          double(shape.vocab),
          config.model.dtype == Dtype::bfloat16 ? 2.0 : 4.0,
          shape.heads != shape.kv_heads,
          shape.layer(0).qk_norm != LayerSpec::QkNorm::none};
}

// Queries, keys and values of a row as projected, normed, turned, repeated and mixed.
double heads_of_row(const Sizes& s) {
  return (s.d + 2 * s.kv) + (s.norms_heads ? 2 : 1) * (s.d + s.kv) + s.d + (s.repeats_heads ? 2 * s.d : 0);
}

// Of one layer while a row passes through it without a graph.
double row_in_flight(const Sizes& s) {
  const double before = 2 * s.h + heads_of_row(s);
  const double after = 3 * s.h + 3 * s.f;
  return s.element * std::max(before, after);
}

// Of one layer that its backward pass wants, for each row.
double row_kept(const Config& config, const Sizes& s) {
  const auto targeted = [&](const char* name) {
    return double(std::count(config.lora.targets.begin(), config.lora.targets.end(), name));
  };
  const double attention_in = targeted("q_proj") + targeted("k_proj") + targeted("v_proj") + targeted("qkv_proj");
  const double gates = targeted("gate_proj") + targeted("up_proj") + targeted("gate_up_proj");
  const double parts = attention_in + targeted("o_proj") + gates + targeted("down_proj");
  const double low_rank = config.lora.low_rank() ? parts * double(config.lora.rank) : 0;
  const double numbers = 4 * s.h + heads_of_row(s) + 3 * s.f + low_rank;
  const double masks = training_dropout(config.lora) > 0
                           ? attention_in * s.h + targeted("o_proj") * s.d + gates * s.h + targeted("down_proj") * s.f
                           : 0;
  return s.element * numbers + masks;
}

// A block of logits at most, with the float32 copies that the softmax makes; its gradient takes the place of one.
double logits_bytes(const Sizes& s, double rows) {
  return std::min(rows, double(logit_block_rows(std::int64_t(s.vocab)))) * s.vocab * (s.element + 8);
}

MemoryNeed pretrain_need(const Config& config, const ModelShape& shape) {
  const Sizes s = sizes_of(config, shape);
  const double rows = double(config.pretrain.micro_sequences * config.pretrain.sequence_tokens),
               parameters = shape.parameters();
  MemoryNeed need;
  need.weights = 4 * parameters + (s.element < 4 ? s.element * parameters : 0);
  need.module = 4 * parameters;
  need.moments = 8 * parameters;
  Config whole = config;
  whole.lora.targets.clear();
  whole.lora.dropout = 0;
  need.activations = rows * (double(shape.layers) * row_kept(whole, s) + row_in_flight(s));
  need.logits = logits_bytes(s, rows);
  return need;
}

// Weights, and what `learners` adapters take beside them.
MemoryNeed resident_need(const Config& config, const ModelShape& shape, const Sizes& s, const ModelWork& model,
                         double learners) {
  MemoryNeed need;
  need.weights = s.element * shape.parameters();
  need.module = learners * 8 * model.lora_parameters();
  need.moments = learners * 4 * model.lora_parameters() * moments_of(config.train);
  return need;
}

// What a step on `rows` tokens, `labelled` of them with a loss, keeps for its backward pass.
void add_training_need(const Config& config, const Sizes& s, const ModelWork& model, double rows, double labelled,
                       MemoryNeed& need) {
  need.activations =
      std::max(need.activations, rows * (double(model.graph_layers()) * row_kept(config, s) + row_in_flight(s)));
  if (s.element < 4) need.activations += s.element * model.lora_parameters();  // casts that the graph holds
  need.logits = std::max(need.logits, logits_bytes(s, labelled));
}

}  // namespace

MemoryNeed memory_need(const Config& config, const ModelShape& shape) {
  if (config.experiment == ExperimentKind::pretrain) return pretrain_need(config, shape);
  const Sizes s = sizes_of(config, shape);
  const ModelWork model(shape, config.lora, config.model.dtype);
  const bool writes = config.experiment == ExperimentKind::generation, adapter = config.score.adapter;
  const bool keeps = writes || reads_through_cache(config), trains = adapter && config.train.enabled;
  const std::int64_t context = context_tokens(config);
  const double chunk = double(longest_chunk_tokens(config));
  const double learners = adapter ? 1 + double(config.control.size()) : 0;

  MemoryNeed need = resident_need(config, shape, s, model, learners);
  if (writes && config.generate.schedule == Schedule::parallelized) need.module += 8 * model.lora_parameters();
  if (keeps) {
    const bool base_keys = config.lora.rows == AdapterRows::chunk;  // the adapters' rows stand behind the base's
    const double caches = writes || base_keys ? 1 : (config.score.base ? 1 : 0) + learners;
    const double copies = config.cache.policy == CachePolicy::last_n ? 3 : 2;  // keys before their rotation too
    need.cache = caches * copies * s.element * double(shape.layers) * s.kv * double(CachePlan::capacity(config));
  }
  const double block = std::min<double>(double(config.cache.prefill_block_tokens), double(CachePlan::capacity(config)));
  const double score_rows = keeps && !writes ? block : double(context) + chunk;
  need.activations = score_rows * row_in_flight(s);
  need.logits = logits_bytes(s, chunk);
  if (trains) {
    // A prefix that stands is there as keys and values only, which the graph holds behind the chunk's own.
    const bool chunk_rows = config.lora.rows == AdapterRows::chunk;
    const bool stands = chunk_rows || !config.train.prefix_gradient;
    const double prefix = double(config.train.prefix_tokens), rows = (stands ? 0 : prefix) + chunk;
    const double held = !stands ? 0 : chunk_rows ? double(CachePlan::capacity(config)) - chunk : prefix;
    add_training_need(config, s, model, rows, config.train.label_prefix ? rows : chunk, need);
    need.activations +=
        double(model.graph_layers()) * s.element * held * (2 * s.kv + (s.repeats_heads ? 2 * s.d : 0));
  }
  return need;
}

MemoryNeed memory_need(const Config& config, const ModelShape& shape, const TranslationLengths& lengths) {
  const Sizes s = sizes_of(config, shape);
  const ModelWork model(shape, config.lora, config.model.dtype);
  MemoryNeed need = resident_need(config, shape, s, model, config.score.adapter ? 1 : 0);
  need.cache = 2 * s.element * double(shape.layers) * s.kv * double(lengths.slots);
  const double block = std::min(double(kTranslationBlock), double(lengths.slots));
  need.activations = block * row_in_flight(s);
  need.logits = logits_bytes(s, block);
  if (config.score.adapter && config.train.enabled)
    add_training_need(config, s, model, double(lengths.lesson_tokens), double(lengths.labelled_tokens), need);
  return need;
}

}  // namespace templora
