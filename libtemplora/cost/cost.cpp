#include "cost/cost.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/lengths.h"
#include "core/error.h"
#include "core/hub_cache.h"
#include "plan/document_plan.h"
#include "plan/score_rules.h"

namespace templora {
namespace {

std::int64_t block_of(const Config& config) { return config.cache.prefill_block_tokens; }

Work passes(const ModelWork& model, const Config& config, const std::vector<CacheStep>& steps, AskedRows rows,
            bool adapter) {
  Work work;
  for (const CacheStep& step : steps)
    if (step.kind == CacheStep::Kind::feed)
      work += model.cached(step.tokens, step.held, rows, adapter, block_of(config));
  return work;
}

bool adapts_chunk_rows(const Config& config) { return config.lora.rows == AdapterRows::chunk; }

/// A pass of the adapter as it is computed: `rows` of them, behind `held` slots that stand.
struct AdapterPass {
  std::int64_t rows, labelled, held;
};

// Of a window whose prefix is computed with it, or stands before its labelled rows.
AdapterPass pass_over(const Config& config, const Window& window) {
  if (!adapts_chunk_rows(config) && config.train.prefix_gradient) return {window.length, window.labelled, 0};
  return {window.labelled, window.labelled, window.length - window.labelled - 1};
}

// What makes a standing prefix before each pass over a window; nothing where it stands anyway.
Work prefix_of(const ModelWork& model, const Config& config, const Window& window) {
  const std::int64_t held = pass_over(config, window).held;
  return model.cached(held, 0, AskedRows::none, !adapts_chunk_rows(config), block_of(config));
}

Work learning_forward(const ModelWork& model, const AdapterPass& pass) {
  return model.learning_forward(pass.rows, pass.labelled, pass.held);
}
Work backward(const ModelWork& model, const AdapterPass& pass) {
  return model.backward(pass.rows, pass.labelled, pass.held);
}

// `learns`: the pass is the first step's.
Work scored(const ModelWork& model, const Config& config, const PricedChunk& chunk, bool adapter, bool learns = false) {
  if (chunk.window.labelled == 0) return {};
  if (adapter && adapts_chunk_rows(config)) {
    const AdapterPass pass = pass_over(config, chunk.window);
    return learns ? learning_forward(model, pass) : model.forward(pass.rows, pass.labelled, true, pass.held);
  }
  if (learns && !config.train.prefix_gradient)
    return prefix_of(model, config, chunk.window) + learning_forward(model, pass_over(config, chunk.window));
  if (chunk.kept)
    return passes(model, config, chunk.pass, AskedRows::all, adapter) + model.logits(chunk.window.labelled);
  if (learns) return model.learning_forward(chunk.window.length, chunk.window.labelled);
  return model.forward(chunk.window.length, chunk.window.labelled, adapter);
}

// Kept and fresh ones once more: a fresh cache, its NLLs, those of the kept one, and the divergence of the two.
Work staleness(const ModelWork& model, const Config& config, const PricedChunk& chunk) {
  const std::vector<CacheStep> before(chunk.fresh.begin(), chunk.fresh.end() - 1);
  return passes(model, config, before, AskedRows::none, true) +
         passes(model, config, {chunk.fresh.back()}, AskedRows::all, true) + 4.0 * model.logits(chunk.window.labelled);
}

void add_training(const ModelWork& model, const Config& config, const PricedChunk& chunk, CostPrediction& cost) {
  if (chunk.steps == 0) return;
  const double steps = double(chunk.steps);
  // The chunk's own rows stand behind what was in sight when it was scored.
  const bool stands = adapts_chunk_rows(config);
  const Window& window = stands ? chunk.window : chunk.segment;
  const AdapterPass pass = pass_over(config, window);
  const Work forward = (stands ? Work() : prefix_of(model, config, window)) + learning_forward(model, pass);
  cost.phases["train_forward"] += (steps - (chunk.shared_forward ? 1 : 0)) * forward;
  cost.phases["train_backward"] += steps * backward(model, pass);
  for (const Window& again : chunk.replayed) {
    if (again.labelled == 0) continue;
    const AdapterPass replay = pass_over(config, again);
    cost.phases["train_forward"] += prefix_of(model, config, again) + learning_forward(model, replay);
    cost.phases["train_backward"] += backward(model, replay);
  }
  cost.phases["optimizer"] += steps * model.optimizer(config.train);
  cost.optimizer_steps += chunk.steps;
}

void add_reading(const ModelWork& model, const Config& config, const Execution& execution, const PricedChunk& chunk,
                 CostPrediction& cost) {
  const bool measured = !chunk.fresh.empty();
  if (config.score.base) {
    if (chunk.kept) cost.phases["recompute_base"] += passes(model, config, chunk.recompute, AskedRows::none, false);
    cost.phases["score_base"] += double(execution.base_scores) * scored(model, config, chunk, false);
    if (config.neural_cache.entries > 0)
      cost.phases["neural_cache"] += model.look_up(chunk.window.labelled, chunk.states_kept);
  } else if (adapts_chunk_rows(config)) {  // the method alone: keys without scores
    cost.phases["recompute_base"] += passes(model, config, chunk.recompute, AskedRows::none, false);
    if (config.cache.policy != CachePolicy::rebuild)
      cost.phases["recompute_base"] += passes(model, config, chunk.pass, AskedRows::none, false);
  }
  if (config.bm25.passage_tokens > 0 && chunk.window.labelled > 0)  // a window as long as without the passage
    cost.phases["bm25"] += model.forward(chunk.window.length, chunk.window.labelled, false);
  if (!config.score.adapter) return;
  const bool own_keys = chunk.kept && !adapts_chunk_rows(config);
  const Work recompute = own_keys ? passes(model, config, chunk.recompute, AskedRows::none, true) : Work();
  if (own_keys) cost.phases["recompute"] += recompute;
  cost.phases["score"] += double(execution.adapter_scores) * scored(model, config, chunk, true, chunk.shared_forward);
  const std::int64_t context = chunk.window.length - chunk.tokens;
  if (const auto further = ScoreRules(config).further_window({chunk.window.first + context, chunk.tokens}, context))
    cost.phases["score"] += model.forward(further->length, further->labelled, true);
  if (measured) cost.phases["staleness"] += staleness(model, config, chunk);
  add_training(model, config, chunk, cost);
  if (config.control.empty()) return;
  // Controls learn other texts, so no pass of theirs is shared. Their prefixes are taken to be as long as the
  // adapter's.
  const double controls = double(config.control.size()), steps = double(chunk.steps);
  const Work score = double(execution.adapter_scores) * scored(model, config, chunk, true);
  cost.phases["score_controls"] += controls * (recompute + score);
  if (chunk.steps == 0) return;
  const auto learnt = [&](const Window& window) {
    const AdapterPass pass = pass_over(config, window);
    return prefix_of(model, config, window) + learning_forward(model, pass) + backward(model, pass);
  };
  cost.phases["train_controls"] += controls * steps * (learnt(chunk.segment) + model.optimizer(config.train));
  for (const Window& again : chunk.replayed)
    if (again.labelled > 0) cost.phases["train_controls"] += controls * learnt(again);
}

// Generation (experiment/generation.cpp): each chunk is decoded over a cache, scored in a window without one, and
// learnt.
CostPrediction generated(const Config& config, const ModelShape& shape, const CostInput& input) {
  const ModelWork model(shape, config.lora, config.model.dtype, input.execution);
  const bool adapter = config.score.adapter;
  const std::int64_t prompt = std::max<std::int64_t>(1, input.prompt_tokens);
  CostPrediction cost;
  CachePlan cache(config);
  std::int64_t learnt = 0;  // chunks before this one were learnt, or never will be
  DocumentPlan plan(config, 0, prompt);
  // With lora.rows "chunk" the adapter's rows stand behind what the base had in sight.
  const bool stands = adapter && adapts_chunk_rows(config);
  std::int64_t opened = 0;  // tokens that were in sight before the last chunk
  const auto sight = [&](std::int64_t index) {
    const Chunk& chunk = plan[index].chunk;
    return Window{chunk.first - opened, opened + chunk.count, chunk.count - (opened == 0)};
  };
  const auto learn = [&](std::int64_t index) {
    if (index < learnt) return;
    learnt = index + 1;
    if (!plan.may_learn(index, index)) return;
    PricedChunk chunk;
    chunk.segment = chunk.window = plan[index].segment;
    if (stands) chunk.window = sight(index);
    chunk.steps = config.train.epochs;
    add_training(model, config, chunk, cost);
  };
  // The base reads chunk `index`, which context was opened for, and keeps it.
  const auto read_by_base = [&](std::int64_t index) {
    return passes(model, config, cache.score(plan[index].chunk), AskedRows::all, false) +
           model.logits(sight(index).labelled);
  };
  // A branch begins behind all that its snapshot read and learnt.
  if (config.generate.from_snapshot) {
    cache.assume_read(prompt);
  } else if (config.generate.learn_prompt) {
    plan = DocumentPlan(config, prompt);
    for (std::int64_t i = 0; i < plan.size(); ++i) {
      if (stands) {
        cost.phases["prefill"] += passes(model, config, cache.open(plan[i].chunk.first, plan[i].chunk.count),
                                         AskedRows::none, false);
        opened = cache.visible();
        cost.phases["prefill"] += read_by_base(i);
      }
      learn(i);
    }
  }
  for (const std::int64_t tokens : input.document_tokens)
    for (std::int64_t done = 0; done < tokens;) {
      const std::int64_t count = std::min(config.window.chunk_tokens, tokens - done);
      cost.phases[done == 0 ? "prefill" : "recompute"] +=
          passes(model, config, cache.open(prompt + done, count), AskedRows::none, adapter && !stands);
      cost.phases["decode"] += model.decoded(count, cache.held(), adapter);
      opened = cache.visible();
      plan.append(count);
      const std::int64_t last = plan.size() - 1;
      if (stands) {
        const AdapterPass pass = pass_over(config, sight(last));
        cost.phases["score"] += read_by_base(last) + model.forward(pass.rows, pass.labelled, true, pass.held);
      } else {
        cache.written(prompt + done + count);
        const Window& seen = plan[last].seen;
        if (seen.labelled > 0 && config.score.base)
          cost.phases["score"] += model.forward(seen.length, seen.labelled, false);
        if (seen.labelled > 0 && adapter) cost.phases["score"] += model.forward(seen.length, seen.labelled, true);
      }
      learn(last - training_lag(config));
      done += count;
      ++cost.chunks;
      cost.tokens += count;
    }
  return cost;
}

// Plain training of all weights (train/pretrainer.cpp): every product has a gradient of its input, the embedding's rows
// included, and one of its weight.
CostPrediction pretrained(const Config& config, const ModelShape& shape, const CostInput& input) {
  LoraConfig none;
  none.targets.clear();
  const PretrainConfig& p = config.pretrain;
  const ModelWork model(shape, none, config.model.dtype);
  CostPrediction cost;
  for (const std::int64_t tokens : input.document_tokens) cost.tokens += tokens;
  const double sequences = double(cost.tokens) / double(p.sequence_tokens);
  const Work forward = model.forward(p.sequence_tokens, p.sequence_tokens, false);
  Work backward = 2.0 * forward;
  backward.attention_flops = 2.5 * forward.attention_flops;
  cost.phases["train_forward"] = sequences * forward;
  cost.phases["train_backward"] = sequences * backward;
  cost.optimizer_steps = cost.chunks = std::int64_t(sequences / double(p.batch_sequences));
  // As ModelWork::optimizer, over all weights: AdamW has two moments.
  cost.phases["optimizer"] = {0, 0, double(cost.optimizer_steps) * 4 * 11 * shape.parameters()};
  return cost;
}

CostPrediction read_through(const Config& config, const ModelShape& shape, const CostInput& input) {
  const ModelWork model(shape, config.lora, config.model.dtype, input.execution);
  CostPrediction cost;
  for (std::size_t document = 0; document < input.document_tokens.size(); ++document)
    for (const PricedChunk& chunk : priced_chunks(config, input, document)) {
      add_reading(model, config, input.execution, chunk, cost);
      cost.tokens += chunk.tokens;
      ++cost.chunks;
    }
  return cost;
}

}  // namespace

Work CostPrediction::total() const {
  Work sum;
  for (const auto& [phase, work] : phases) sum += work;
  return sum;
}

ModelShape pretrain_shape(const PretrainConfig& p, std::int64_t vocab) {
  ModelShape shape;
  shape.name = "pretrained";
  shape.vocab = vocab;
  shape.layers = p.layers;
  shape.hidden = p.hidden;
  shape.ffn = p.ffn;
  shape.heads = p.heads;
  shape.kv_heads = p.kv_heads.value_or(p.heads);
  shape.head_dim = p.hidden / p.heads;
  shape.max_positions = p.sequence_tokens;
  shape.tied_embeddings = p.tied_embeddings;
  return shape;
}

ModelShape model_shape(const Config& config) {
  if (std::filesystem::exists(std::filesystem::path(config.model.path) / "config.json"))
    return read_model_shape(config.model.path);
  if (config.cost.shape) return named_model_shape(*config.cost.shape, "cost.shape");
  throw Error(Exit::bad_input,
              fmt::format("{}: no config.json; put the model there, or name a shape with --shape or cost.shape: {}{}",
                          printable(config.model.path, 1000), fmt::join(model_shape_names(), ", "),
                          how_to_fetch(config.model.path)));
}

CostPrediction predict_cost(const Config& config, const ModelShape& shape, const CostInput& input) {
  CostPrediction cost;
  switch (config.experiment) {
    case ExperimentKind::perplexity: cost = read_through(config, shape, input); break;
    case ExperimentKind::generation: cost = generated(config, shape, input); break;
    case ExperimentKind::pretrain: cost = pretrained(config, shape, input); break;
    case ExperimentKind::translation:
      throw Error(
          Exit::usage,
          "cost: got experiment \"translation\", whose lengths only its texts tell; wanted perplexity, generation or "
          "pretrain. A translation's run folder holds what each phase took");
  }
  cost.memory = memory_need(config, shape);
  return cost;
}

CostPrediction cost_per_token(const Config& config, const ModelShape& shape, const Execution& execution) {
  if (config.experiment == ExperimentKind::pretrain) {  // every batch is alike
    CostInput batch;
    batch.document_tokens = {config.pretrain.sequence_tokens * config.pretrain.batch_sequences};
    CostPrediction cost = predict_cost(config, shape, batch);
    for (auto& [phase, work] : cost.phases) work = (1.0 / double(cost.tokens)) * work;
    cost.tokens = 1;
    cost.chunks = cost.optimizer_steps = 0;
    return cost;
  }
  // Two documents that differ by whole cycles, far behind where windows are clipped.
  const std::int64_t chunk = config.window.chunk_tokens, capacity = CachePlan::capacity(config);
  const bool reads = config.experiment == ExperimentKind::perplexity, measures = config.cache.measure_staleness;
  Config steady = config;
  steady.train.stop_after_tokens = 0;
  steady.lora.reset_every_tokens = 0;
  steady.window.first_chunk_tokens = chunk;
  const std::int64_t longest = std::max(capacity, config.train.prefix_tokens + chunk);
  // A cycle longer than a million chunks is not waited for: what happens once in it hardly counts.
  constexpr std::int64_t kLongest = 1000000;
  std::int64_t cycle = 1;
  const auto repeats_every = [&](std::int64_t chunks) {
    cycle = std::min(kLongest, cycle * std::min(kLongest, chunks));
  };
  repeats_every(config.train.update_every_chunks);
  if (config.cache.policy == CachePolicy::refill)
    repeats_every(std::max<std::int64_t>(1, (capacity - config.cache.refill_tokens) / chunk));
  if (config.cache.policy == CachePolicy::every_k) repeats_every(config.cache.rebuild_every_chunks);
  if (measures) repeats_every(config.cache.staleness_every_chunks);
  CostInput input;
  input.execution = execution;
  std::int64_t warm = 2;
  if (reads && !measures && (config.cache.policy == CachePolicy::rebuild || config.cache.policy == CachePolicy::last_n))
    input.first_token = longest;
  else
    warm = 2 * (longest / chunk + 2);
  if (config.train.hard_quantile > 0) {  // its rule has no cycle: the mean over many chunks
    warm += std::min(kLongest, config.train.hard_after_chunks);
    repeats_every(1000);
  }
  if (longest / chunk > kLongest)
    throw Error(
        Exit::usage,
        fmt::format("window.chunk_tokens: got {} beside windows of {} tokens, wanted at most a million chunks a "
                    "window; enlarge it",
                    chunk, longest));
  input.document_tokens = {warm * chunk};
  const CostPrediction short_run = predict_cost(steady, shape, input);
  input.document_tokens = {(warm + cycle) * chunk};
  CostPrediction cost = predict_cost(steady, shape, input);
  for (auto& [phase, work] : cost.phases) {
    const auto before = short_run.phases.find(phase);
    if (before != short_run.phases.end()) work = work - before->second;
    work = (1.0 / double(cycle * chunk)) * work;
  }
  cost.tokens = 1;
  cost.chunks = cost.optimizer_steps = 0;
  return cost;
}

}  // namespace templora
