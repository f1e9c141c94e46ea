#include "config/config_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/config_inputs.h"
#include "config/layer_spec.h"
#include "config/lengths.h"

namespace templora {
namespace {

template <class T>
bool repeats(const std::vector<T>& values) {
  return std::set<T>(values.begin(), values.end()).size() != values.size();
}

bool valid_device(const std::string& device) {
  if (device == "auto" || device == "cpu" || device == "cuda") return true;
  const std::string index = device.rfind("cuda:", 0) == 0 ? device.substr(5) : "";
  return !index.empty() && index.size() <= 3 &&
         std::all_of(index.begin(), index.end(), [](char digit) { return digit >= '0' && digit <= '9'; });
}

template <class Fail>
void check_pretrain_rules(const Config& c, Fail&& fail) {
  const PretrainConfig& p = c.pretrain;
  if (!c.model.tokenizer)
    fail("model.tokenizer", "got nothing, wanted a tokenizer.model, a tokenizer.json or a folder holding one");
  if (c.data.validation.empty()) fail("data.validation", "got no texts, wanted an array of at least one path or glob");
  if (p.hidden % (2 * p.heads) != 0)
    fail("pretrain.hidden", fmt::format("got {}, wanted a multiple of 2 * heads = {}", p.hidden, 2 * p.heads),
         {"pretrain.heads"});
  if (p.kv_heads && p.heads % *p.kv_heads != 0)
    fail("pretrain.kv_heads", fmt::format("got {}, wanted a divisor of heads = {}", *p.kv_heads, p.heads),
         {"pretrain.heads"});
  if (p.batch_sequences % p.micro_sequences != 0)
    fail("pretrain.micro_sequences", fmt::format("got {}, wanted a divisor of batch_sequences = {}", p.micro_sequences,
                                                 p.batch_sequences),
         {"pretrain.batch_sequences"});
}

// What a window's length, and what a kept cache holds of it, is made of.
const std::vector<std::string> kWindowKeys = {"window.chunk_tokens", "window.context_tokens", "train.prefix_tokens",
                                              "cache.window_tokens", "cache.sink_tokens",     "cache.refill_tokens"};

template <class Fail>
void check_cache_rules(const Config& c, Fail&& fail) {
  if (c.cache.policy != CachePolicy::rebuild && c.lora.rows == AdapterRows::all && c.lora.reset_every_tokens > 0)
    fail("lora.reset_every_tokens",
         "got a reset beside a kept cache, wanted cache.policy \"rebuild\": a fresh adapter shares no keys",
         {"cache.policy"});
  if (c.cache.measure_staleness && c.lora.rows == AdapterRows::chunk)
    fail("cache.measure_staleness", "got true beside lora.rows \"chunk\", whose kept keys are the base's and never old",
         {"lora.rows"});
  else if (c.cache.measure_staleness && c.cache.policy == CachePolicy::rebuild)
    fail("cache.measure_staleness",
         "got true beside cache.policy \"rebuild\", where nothing is old; choose another policy",
         {"cache.policy"});
  if (c.cache.policy != CachePolicy::last_n && c.cache.sink_tokens > 0)
    fail("cache.sink_tokens", fmt::format("got {} beside cache.policy \"{}\", wanted 0: only \"last_n\" keeps sinks",
                                          c.cache.sink_tokens, enum_name(c.cache.policy)),
         {"cache.policy"});
  const std::int64_t chunk = c.window.chunk_tokens, window = window_tokens(c);
  switch (c.cache.policy) {
    case CachePolicy::rebuild: return;
    case CachePolicy::refill:
      if (c.cache.refill_tokens > window - 2 * chunk)
        fail("cache.refill_tokens",
             fmt::format(
                 "got {}, wanted at most window_tokens - 2 * chunk_tokens = {} - 2 * {}, since above it nothing is "
                 "ever reused; lower it, or raise cache.window_tokens",
                 c.cache.refill_tokens, window, chunk),
             kWindowKeys);
      return;
    case CachePolicy::every_k:
      if (c.cache.rebuild_every_chunks < 2)
        fail("cache.rebuild_every_chunks", "got 1, wanted at least 2, since 1 reuses nothing; use policy \"rebuild\"");
      return;
    case CachePolicy::last_n:
      if (window <= chunk + c.cache.sink_tokens)
        fail("cache.window_tokens", fmt::format("got {}, wanted more than chunk_tokens + sink_tokens = {} + {}", window,
                                                chunk, c.cache.sink_tokens),
             kWindowKeys);
  }
}

const char* const kOneOf[] = {"perplexity run", "pretraining", "generation", "translation"};

/// Refuses keys that the experiment does not use where they are not at their defaults, if they say that it should.
template <class Fail>
void check_unused(const Config& c, Fail&& fail) {
  Config given = c;
  Json values = section_json(given), defaults = config_defaults();
  for (const auto& [key, info] : config_keys()) {
    const Json &value = *find_key(values, key), &wanted = *find_key(defaults, key);
    if ((info.refused & only(c.experiment)) == 0 || value == wanted) continue;
    const std::string unknown = fmt::format("a {} does not know it (used by {})",
                                            kOneOf[static_cast<int>(c.experiment)], experiment_names(info.users));
    fail(key, fmt::format("got {}, wanted {}: {}", value.dump(), wanted.dump(), *info.why ? info.why : unknown));
  }
}

int prompts(const Config& c) {
  return c.generate.prompt.has_value() + c.generate.prompt_file.has_value() + c.generate.from_snapshot.has_value();
}

template <class Fail>
void check_generation_rules(const Config& c, Fail&& fail) {
  if (prompts(c) == 0)
    fail("generate.prompt", "got nothing, wanted a prompt, a prompt_file or a snapshot to go on from",
         {"generate.prompt_file", "generate.from_snapshot"});
  const std::int64_t context = context_tokens(c);
  if (context == 0 && (c.cache.policy == CachePolicy::rebuild || c.cache.policy == CachePolicy::every_k))
    fail("window.context_tokens",
         "got 0, or null beside train.prefix_tokens 0, wanted at least 1: a text goes on from what is in sight",
         {"train.prefix_tokens", "cache.policy"});
  // What "official" fills in is the same setting when a record is read again.
  const std::int64_t chunk = c.window.chunk_tokens, first = c.window.first_chunk_tokens.value_or(chunk);
  if (first != chunk && !(c.fidelity == Fidelity::official && first == kOfficialFirstChunkTokens))
    fail("window.first_chunk_tokens",
         fmt::format("got {}, wanted null: all chunks of a generation have window.chunk_tokens = {} tokens", first,
                     chunk),
         {"window.chunk_tokens", "fidelity"});
}

// What only this experiment wants, or refuses.
template <class Fail>
void check_experiment_rules(const Config& c, Fail&& fail) {
  const ExperimentKind kind = c.experiment;
  if (kind != ExperimentKind::pretrain && c.model.path.empty())
    fail("model.path", "got nothing, wanted a Hugging Face model folder");
  if (kind == ExperimentKind::pretrain) check_pretrain_rules(c, fail);
  if (kind == ExperimentKind::generation) check_generation_rules(c, fail);
  if (kind == ExperimentKind::translation && c.data.novels.empty())
    fail("data.novels", "got no novels, wanted an array of at least one path or glob");
  if ((kind == ExperimentKind::perplexity || kind == ExperimentKind::pretrain) && c.data.books.empty())
    fail("data.books", "got no books, wanted an array of at least one path or glob");
  check_unused(c, fail);
}

template <class Fail>
void check_train_rules(const Config& c, Fail&& fail) {
  const TrainConfig& t = c.train;
  if (t.optimizer != OptimizerKind::adamw && t.weight_decay > 0)
    fail("train.weight_decay",
         fmt::format("got {} beside train.optimizer \"{}\", wanted 0: it is AdamW's; use train.decay_to_start",
                     t.weight_decay, enum_name(t.optimizer)),
         {"train.optimizer"});
  if (t.rate_decay == RateDecay::linear && c.experiment != ExperimentKind::perplexity)
    fail("train.rate_decay",
         "got \"linear\", wanted \"none\" or \"sqrt\": only a perplexity run knows where its text ends",
         {"experiment"});
  if (t.rate_decay == RateDecay::linear && c.lora.reset_every_tokens > 0)
    fail("train.rate_decay",
         fmt::format("got \"linear\" beside lora.reset_every_tokens {}, wanted 0 or {} there, or \"sqrt\": a fresh "
                     "adapter starts at the whole rate",
                     c.lora.reset_every_tokens, kOneForAll),
         {"lora.reset_every_tokens"});
  if (t.optimizer == OptimizerKind::sgd && t.moments == Moments::reset)
    fail("train.moments", "got \"reset\" beside train.optimizer \"sgd\", which keeps no moments; wanted \"keep\"",
         {"train.optimizer"});
  if (t.label_prefix && t.prefix_tokens == 0)
    fail("train.label_prefix",
         "got true beside train.prefix_tokens 0: there is no prefix to label; raise prefix_tokens",
         {"train.prefix_tokens"});
  const char* rule = t.hard_quantile > 0 ? "train.hard_quantile" : t.steps_by_gap ? "train.steps_by_gap"
                     : t.update_every_chunks > 1 ? "train.update_every_chunks" : nullptr;
  if (rule && !t.enabled)
    fail(rule, "got a rule for which chunks are learnt beside train.enabled false, which learns none; remove one",
         {"train.enabled"});
  const std::int64_t context = context_tokens(c);
  if (t.steps_by_gap && t.gap_context_tokens >= context)
    fail("train.gap_context_tokens",
         fmt::format("got {} beside train.steps_by_gap, wanted less than window.context_tokens, {}",
                     t.gap_context_tokens, context),
         {"window.context_tokens", "train.prefix_tokens"});
}

// What passes of the base and of the adapter are made of. lora.rows "chunk": the chunk's rows stand behind what the
// base has in sight at that moment, in scoring and training alike.
template <class Fail>
void check_row_rules(const Config& c, Fail&& fail) {
  if (!c.train.prefix_gradient && c.train.label_prefix)
    fail("train.prefix_gradient",
         "got false beside train.label_prefix true, which learns the prefix; wanted one of the two",
         {"train.label_prefix"});
  if (c.train.replay_share > 0 && c.train.label_prefix)
    fail("train.replay_share",
         fmt::format("got {} beside train.label_prefix true, which learns earlier tokens already; wanted one of the "
                     "two",
                     c.train.replay_share),
         {"train.label_prefix"});
  if (c.neural_cache.entries > 0 && !c.score.base)
    fail("score.base", "got false beside neural_cache.entries, wanted true: the cache holds states of the base's pass",
         {"neural_cache.entries"});
  if (c.bm25.passage_tokens > 0 && c.bm25.passage_tokens >= context_tokens(c))
    fail("bm25.passage_tokens",
         fmt::format("got {}, wanted less than window.context_tokens, {}: the passage takes the place of the window's "
                     "oldest tokens, and what it is looked up by stands behind it",
                     c.bm25.passage_tokens, context_tokens(c)),
         {"window.context_tokens", "train.prefix_tokens"});
  if (c.bm25.passage_tokens > 0 && reads_through_cache(c))
    fail("bm25.passage_tokens",
         fmt::format("got {} beside kept keys, wanted 0: its window is computed anew, and the base it is compared with "
                     "sees another one",
                     c.bm25.passage_tokens),
         {"cache.policy", "lora.rows"});
  if (c.lora.rows == AdapterRows::all) return;
  const auto refuse = [&](const std::string& key, const std::string& got, const char* wanted) {
    fail(key, fmt::format("got {} beside lora.rows \"chunk\", wanted {}", got, wanted), {"lora.rows"});
  };
  if (c.experiment == ExperimentKind::perplexity && !c.score.base)
    refuse("score.base", "false", "true: the base's pass makes the keys that the adapter's rows stand behind");
  if (context_tokens(c) != c.train.prefix_tokens)
    refuse("window.context_tokens",
           fmt::format("{} and train.prefix_tokens {}", context_tokens(c), c.train.prefix_tokens),
           "the same, or null: training sees what scoring sees");
  if (training_lag(c) > 0)
    refuse(c.train.lag_chunks > 0 ? "train.lag_chunks" : "generate.schedule",
           c.train.lag_chunks > 0 ? "1" : "\"parallelized\"",
           c.train.lag_chunks > 0 ? "0: the keys before the last chunk are gone"
                                  : "\"cascaded\": the keys before the last chunk are gone");
  if (c.train.label_prefix) refuse("train.label_prefix", "true", "false: the prefix's rows are the base's");
  if (c.train.steps_by_gap)
    refuse("train.steps_by_gap", "true", "false: its short window has rows of the adapter only");
  if (!c.train.prefix_gradient)
    refuse("train.prefix_gradient", "false", "true, its default: no gradient reaches the base's rows anyway");
}

template <class Fail>
void check_recall_rules(const Config& c, Fail&& fail) {
  const RecallConfig& r = c.recall;
  if (r.facts == 0) return;
  if (c.lora.rows == AdapterRows::chunk)
    fail("recall.facts",
         fmt::format("got {} beside lora.rows \"chunk\", wanted 0: questions read their window with the adapter",
                     r.facts),
         {"lora.rows"});
  if (r.facts % kRecallFactsMultiple != 0)
    fail("recall.facts", fmt::format("got {}, wanted a multiple of {}: eight answers of each of three kinds, each as "
                                     "often as any other",
                                     r.facts, kRecallFactsMultiple));
  if (r.plant_to_tokens <= r.plant_from_tokens)
    fail("recall.plant_to_tokens", fmt::format("got {}, wanted more than recall.plant_from_tokens, {}",
                                               r.plant_to_tokens, r.plant_from_tokens),
         {"recall.plant_from_tokens"});
  if (c.data.max_tokens > 0 && r.plant_to_tokens > c.data.max_tokens)
    fail("recall.plant_to_tokens",
         fmt::format("got {}, wanted at most data.max_tokens, {}: what is planted behind it is never read",
                     r.plant_to_tokens, c.data.max_tokens),
         {"data.max_tokens"});
  const auto& after = r.ask_after_tokens;
  if (after.empty() || std::adjacent_find(after.begin(), after.end(), std::greater_equal<>()) != after.end())
    fail("recall.ask_after_tokens",
         fmt::format("got {}, wanted at least one distance, and each larger than the one before", Json(after).dump()));
}

}  // namespace

void check_rules(const Config& c, Mistakes& mistakes) {
  const auto fail = [&](const std::string& key, const std::string& what, const std::vector<std::string>& beside = {}) {
    mistakes.add_rule(key, what, beside);
  };
  if (!mistakes.is_wrong("experiment")) check_experiment_rules(c, fail);
  if (!valid_device(c.model.device))
    fail("model.device", fmt::format("got \"{}\", wanted \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", c.model.device));
  if (c.model.rope_scaling && !c.model.rope_scaling->is_object())
    fail("model.rope_scaling", "got no object, wanted an object as Hugging Face writes it, or null");
  if (!c.score.base && !c.score.adapter)
    fail("score.adapter", "got false beside score.base false, wanted at least one of the two true",
         {"score.base"});
  if (!c.control.empty() && !c.score.adapter)
    fail("control", "got controls beside score.adapter false, wanted score.adapter true", {"score.adapter"});
  if (repeats(c.control)) fail("control", "got a control twice, wanted each once");
  if (std::count(c.control.begin(), c.control.end(), Control::mixed_books) > 0 && c.data.control_books.empty())
    fail("data.control_books",
         "got no texts beside control \"mixed_books\", wanted an array of at least one path or glob", {"control"});
  const auto& edges = c.score.segment_edges;
  const bool increasing = std::adjacent_find(edges.begin(), edges.end(), std::greater_equal<>()) == edges.end();
  if (edges.empty() || edges[0] != 0 || !increasing)
    fail("score.segment_edges", fmt::format("got {}, wanted positions that start at 0 and increase",
                                            Json(edges).dump()));
  const std::vector<std::string> all_targets = all_projections();  // the model says which it has
  for (const std::string& target : c.lora.targets)
    if (std::find(all_targets.begin(), all_targets.end(), target) == all_targets.end())
      fail("lora.targets", fmt::format("got \"{}\", wanted any of {}", target, Json(all_targets).dump()));
  if (c.lora.targets.empty() || repeats(c.lora.targets))
    fail("lora.targets", fmt::format("got {}, wanted at least one projection and none twice",
                                     Json(c.lora.targets).dump()));
  if (c.lora.layers && (c.lora.layers->empty() || repeats(*c.lora.layers)))
    fail("lora.layers", fmt::format("got {}, wanted at least one layer and none twice, or null for all layers",
                                    Json(*c.lora.layers).dump()));
  if (c.lora.init_parts == InitParts::a && !c.lora.init_from)
    fail("lora.init_parts", "got \"a\" without lora.init_from, wanted a folder whose A is taken", {"lora.init_from"});
  if (!c.lora.low_rank() && c.lora.init_from)
    fail("lora.init_from", "got a folder beside lora.update \"full\", wanted null: PEFT folders hold low-rank updates",
         {"lora.update"});
  if (!c.lora.low_rank() && c.lora.save_final)
    fail("lora.save_final", "got true beside lora.update \"full\", wanted false: a PEFT folder holds no full update",
         {"lora.update"});
  if (one_for_all(c) && !c.control.empty())
    fail("control",
         fmt::format("got controls beside lora.reset_every_tokens {}, wanted none: they are compared book by book",
                     kOneForAll),
         {"lora.reset_every_tokens"});
  if (c.train.warmup_chunks && c.train.warmup_steps)
    fail("train.warmup_steps", "got both warmup_chunks and warmup_steps, wanted one of the two; remove one",
         {"train.warmup_chunks"});
  check_train_rules(c, fail);
  check_cache_rules(c, fail);
  check_row_rules(c, fail);
  check_recall_rules(c, fail);
  if (c.generate.from_snapshot && prompts(c) > 1)
    fail("generate.from_snapshot", "got a prompt too, wanted one of the two; a snapshot brings its text");
  if (c.generate.prompt && c.generate.prompt_file)
    fail("generate.prompt_file", "got a prompt too, wanted one of the two; remove one");
  if (c.generate.min_new_tokens > c.generate.max_new_tokens)
    fail("generate.min_new_tokens", fmt::format("got {}, wanted at most max_new_tokens = {}", c.generate.min_new_tokens,
                                                c.generate.max_new_tokens),
         {"generate.max_new_tokens"});
}

}  // namespace templora
