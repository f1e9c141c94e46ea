#include "run/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "core/hash.h"
#include "run/config_fields.h"
#include "run/config_inputs.h"

namespace templora {
namespace {

constexpr std::int64_t kOfficialFirstChunkTokens = 1024;
constexpr std::int64_t kWarmup = 2;  // chunks in the released code; steps in the paper's reading

/// The value of one `--set`: JSON where it is JSON that the field can hold, text otherwise.
Json override_value(const Override& override_) {
  Json value;
  try {
    value = parse_json(override_.value, "--set " + override_.key, Exit::usage);
  } catch (const Error&) {
    return override_.value;
  }
  // A folder may be called 13 or true: a text field takes every value but null and "text" as it stands.
  if (takes_text(override_.key) && !value.is_string() && !value.is_null()) return override_.value;
  return value;
}

/// Puts a value at a dotted key, making the objects on the way. What does not fit is found when it is read.
void apply_override(Json& json, const Override& override_) {
  Json* at = &json;
  std::size_t start = 0;
  while (true) {
    const std::size_t dot = override_.key.find('.', start);
    const std::string name = override_.key.substr(start, dot == std::string::npos ? dot : dot - start);
    if (name.empty())
      throw Error(Exit::usage, fmt::format("--set {}={}: got an empty name in the key, wanted section.name=value",
                                           override_.key, override_.value));
    if (!at->is_object()) *at = Json::object();
    at = &(*at)[name];
    if (dot == std::string::npos) break;
    start = dot + 1;
  }
  *at = override_value(override_);
}

/// Fills what the file left open, by the rules of `fidelity`; returns the keys that only "official" sets.
std::vector<std::string> fill_defaults(Config& c) {
  std::vector<std::string> set;
  const bool official = c.fidelity == Fidelity::official;
  const bool windows = c.experiment != ExperimentKind::translation;  // whose chunks are ready-made
  if (!c.train.warmup_chunks && !c.train.warmup_steps) {
    (official ? c.train.warmup_chunks : c.train.warmup_steps) = kWarmup;
    if (official) set.push_back("train.warmup_chunks");
  }
  if (!c.window.first_chunk_tokens) {
    c.window.first_chunk_tokens = official ? kOfficialFirstChunkTokens : c.window.chunk_tokens;
    if (official && windows) set.push_back("window.first_chunk_tokens");
  }
  if (!c.window.context_tokens) {
    // The released code scores on the window it trains on, whatever it is told; so does our default.
    c.window.context_tokens = c.train.prefix_tokens;
    if (official && windows) set.push_back("window.context_tokens");
  }
  if (!c.translation.tokenization) {
    c.translation.tokenization = official ? Tokenization::official : Tokenization::corrected;
    if (official && c.experiment == ExperimentKind::translation) set.push_back("translation.tokenization");
  }
  return set;
}

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
  if (!c.model.tokenizer) fail("model.tokenizer", "got nothing, wanted a tokenizer.model or a folder holding it");
  if (c.data.validation.empty()) fail("data.validation", "got no texts, wanted an array of at least one path or glob");
  if (c.data.max_tokens != 0)
    fail("data.max_tokens", fmt::format("got {}, wanted 0: the pretrain experiment reads whole texts; pretrain.tokens says how many "
                                        "tokens are learnt", c.data.max_tokens));
  if (p.hidden % (2 * p.heads) != 0)
    fail("pretrain.hidden", fmt::format("got {}, wanted a multiple of 2 * heads = {}", p.hidden, 2 * p.heads));
  if (p.kv_heads && p.heads % *p.kv_heads != 0)
    fail("pretrain.kv_heads", fmt::format("got {}, wanted a divisor of heads = {}", *p.kv_heads, p.heads));
  if (p.batch_sequences % p.micro_sequences != 0)
    fail("pretrain.micro_sequences", fmt::format("got {}, wanted a divisor of batch_sequences = {}", p.micro_sequences,
                                                 p.batch_sequences));
}

template <class Fail>
void check_cache_rules(const Config& c, Fail&& fail) {
  if (c.cache.policy != CachePolicy::rebuild && c.lora.reset_every_tokens > 0)
    fail("lora.reset_every_tokens", "got a reset beside a kept cache, wanted cache.policy \"rebuild\": a fresh module shares no keys");
  if (c.cache.measure_staleness && c.cache.policy == CachePolicy::rebuild)
    fail("cache.measure_staleness", "got true beside cache.policy \"rebuild\", where nothing is old; choose another policy");
  if (c.cache.policy != CachePolicy::last_n && c.cache.sink_tokens > 0)
    fail("cache.sink_tokens", fmt::format("got {} beside cache.policy \"{}\", wanted 0: only \"last_n\" keeps sinks", c.cache.sink_tokens,
                                          enum_name(c.cache.policy)));
  const std::int64_t chunk = c.window.chunk_tokens, context = c.window.context_tokens.value_or(c.train.prefix_tokens);
  const std::int64_t window = c.cache.window_tokens.value_or(context + chunk);
  switch (c.cache.policy) {
    case CachePolicy::rebuild: return;
    case CachePolicy::refill:
      if (c.cache.refill_tokens > window - 2 * chunk)
        fail("cache.refill_tokens",
             fmt::format("got {}, wanted at most window_tokens - 2 * chunk_tokens = {} - 2 * {}, since above it nothing is "
                         "ever reused; lower it, or raise cache.window_tokens",
                         c.cache.refill_tokens, window, chunk));
      return;
    case CachePolicy::every_k:
      if (c.cache.rebuild_every_chunks < 2)
        fail("cache.rebuild_every_chunks", "got 1, wanted at least 2, since 1 reuses nothing; use policy \"rebuild\"");
      return;
    case CachePolicy::last_n:
      if (window <= chunk + c.cache.sink_tokens)
        fail("cache.window_tokens", fmt::format("got {}, wanted more than chunk_tokens + sink_tokens = {} + {}", window, chunk,
                                                c.cache.sink_tokens));
  }
}

/// Refuses every key of a section that is not at its default, where an experiment has no use for the section.
template <Section S, class Fail>
void want_defaults(const char* section, S given, const char* why, Fail&& fail) {
  S unused;
  const Json values = section_json(given), defaults = section_json(unused);
  for (const auto& item : values.items())
    if (const Json& wanted = defaults.at(item.key()); item.value() != wanted)
      fail(dotted(section, item.key()), fmt::format("got {}, wanted {}: {}", item.value().dump(), wanted.dump(), why));
}

template <class Fail>
void check_translation_rules(const Config& c, Fail&& fail) {
  if (c.data.novels.empty()) fail("data.novels", "got no novels, wanted an array of at least one path or glob");
  const auto want_zero = [&](const char* key, std::int64_t value) {
    if (value != 0) fail(key, fmt::format("got {}, wanted 0: the translation experiment does not know it", value));
  };
  want_zero("train.lag_chunks", c.train.lag_chunks);
  want_zero("train.stop_after_tokens", c.train.stop_after_tokens);
  want_zero("lora.reset_every_tokens", c.lora.reset_every_tokens);
  if (!c.control.empty()) fail("control", "got controls, wanted none: the translation experiment does not know them");
  want_defaults("cache", c.cache, "a translation keeps no keys and values between chunks", fail);
}

template <class Fail>
void check_generation_rules(const Config& c, Fail&& fail) {
  if (!c.control.empty()) fail("control", "got controls, wanted none: the generation experiment does not know them");
  if (c.lora.reset_every_tokens != 0)
    fail("lora.reset_every_tokens", fmt::format("got {}, wanted 0: the generation experiment does not know it", c.lora.reset_every_tokens));
  if (c.cache.measure_staleness)
    fail("cache.measure_staleness", "got true, wanted false: only experiment \"perplexity\" measures it");
  if (c.generate.min_new_tokens != 0)
    fail("generate.min_new_tokens", fmt::format("got {}, wanted 0: a generation writes generate.tokens tokens, or up to a stop string",
                                                c.generate.min_new_tokens));
  if (const std::int64_t unused = GenerateConfig{}.max_new_tokens; c.generate.max_new_tokens != unused)
    fail("generate.max_new_tokens", fmt::format("got {}, wanted its default {}: the length of a generation is generate.tokens",
                                                c.generate.max_new_tokens, unused));
  // What "official" fills in is the same setting when a record is read again.
  const std::int64_t chunk = c.window.chunk_tokens, first = c.window.first_chunk_tokens.value_or(chunk);
  if (first != chunk && !(c.fidelity == Fidelity::official && first == kOfficialFirstChunkTokens))
    fail("window.first_chunk_tokens",
         fmt::format("got {}, wanted null: all chunks of a generation have window.chunk_tokens = {} tokens", first, chunk));
}

template <class Fail>
void check_train_rules(const Config& c, Fail&& fail) {
  const TrainConfig& t = c.train;
  if (t.optimizer != OptimizerKind::adamw && t.weight_decay > 0)
    fail("train.weight_decay", fmt::format("got {} beside train.optimizer \"{}\", wanted 0: it is AdamW's; use train.decay_to_start",
                                           t.weight_decay, enum_name(t.optimizer)));
  if (t.optimizer == OptimizerKind::adamw && t.decay_to_start > 0)
    fail("train.decay_to_start", fmt::format("got {} beside train.optimizer \"adamw\", wanted 0, or train.optimizer \"sgd\" or \"rms\"",
                                             t.decay_to_start));
  if (t.optimizer == OptimizerKind::sgd && t.moments == Moments::reset)
    fail("train.moments", "got \"reset\" beside train.optimizer \"sgd\", which keeps no moments; wanted \"keep\"");
  if (t.label_prefix && t.prefix_tokens == 0)
    fail("train.label_prefix", "got true beside train.prefix_tokens 0: there is no prefix to label; raise prefix_tokens");
  const bool skips = t.update_every_chunks > 1 || t.hard_quantile > 0;
  if (skips && !t.enabled)
    fail(t.hard_quantile > 0 ? "train.hard_quantile" : "train.update_every_chunks",
         "got a rule for which chunks are learnt beside train.enabled false, which learns none; remove one");
  if (c.experiment == ExperimentKind::perplexity || c.experiment == ExperimentKind::pretrain) return;
  const char* unknown = t.label_prefix ? "train.label_prefix" : t.hard_quantile > 0 ? "train.hard_quantile" : "train.update_every_chunks";
  if (t.label_prefix || skips)
    fail(unknown, fmt::format("got it beside experiment \"{}\", which does not know it; wanted experiment \"perplexity\"",
                              enum_name(c.experiment)));
}

/// The rules that no single field can state.
void check_rules(const Config& c, const KeySource& source) {
  const auto fail = [&](const std::string& key, const std::string& what) {
    throw Error(Exit::usage, fmt::format("{}: {}: {}", source(key), key, what));
  };
  if (c.experiment == ExperimentKind::pretrain)
    check_pretrain_rules(c, fail);
  else if (c.model.path.empty())
    fail("model.path", "got nothing, wanted a Hugging Face model folder");
  if (!valid_device(c.model.device))
    fail("model.device", fmt::format("got \"{}\", wanted \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", c.model.device));
  if (c.model.rope_scaling && !c.model.rope_scaling->is_object())
    fail("model.rope_scaling", "got no object, wanted an object as Hugging Face writes it, or null");
  if (c.experiment == ExperimentKind::generation) check_generation_rules(c, fail);
  if (c.experiment == ExperimentKind::translation)
    check_translation_rules(c, fail);
  else if (c.data.books.empty() && c.experiment != ExperimentKind::generation)
    fail("data.books", "got no books, wanted an array of at least one path or glob");
  if (!c.score.base && !c.score.adapter)
    fail("score.adapter", "got false beside score.base false, wanted at least one of the two true");
  if (!c.control.empty() && !c.score.adapter) fail("control", "got controls beside score.adapter false, wanted score.adapter true");
  if (repeats(c.control)) fail("control", "got a control twice, wanted each once");
  if (std::count(c.control.begin(), c.control.end(), Control::mixed_books) > 0 && c.data.control_books.empty())
    fail("data.control_books", "got no texts beside control \"mixed_books\", wanted an array of at least one path or glob");
  const auto& edges = c.score.segment_edges;
  const bool increasing = std::adjacent_find(edges.begin(), edges.end(), std::greater_equal<>()) == edges.end();
  if (edges.empty() || edges[0] != 0 || !increasing)
    fail("score.segment_edges", fmt::format("got {}, wanted positions that start at 0 and increase",
                                            Json(edges).dump()));
  const auto& all_targets = LoraConfig{}.targets;
  for (const std::string& target : c.lora.targets)
    if (std::find(all_targets.begin(), all_targets.end(), target) == all_targets.end())
      fail("lora.targets", fmt::format("got \"{}\", wanted any of {}", target, Json(all_targets).dump()));
  if (c.lora.targets.empty() || repeats(c.lora.targets))
    fail("lora.targets", fmt::format("got {}, wanted at least one projection and none twice",
                                     Json(c.lora.targets).dump()));
  if (c.lora.layers && (c.lora.layers->empty() || repeats(*c.lora.layers)))
    fail("lora.layers", fmt::format("got {}, wanted at least one layer and none twice, or null for all layers",
                                    Json(*c.lora.layers).dump()));
  if (c.train.warmup_chunks && c.train.warmup_steps)
    fail("train.warmup_steps", "got both warmup_chunks and warmup_steps, wanted one of the two; remove one");
  check_train_rules(c, fail);
  check_cache_rules(c, fail);
  const int prompts = c.generate.prompt.has_value() + c.generate.prompt_file.has_value() + c.generate.from_snapshot.has_value();
  if (c.experiment == ExperimentKind::generation && prompts == 0)
    fail("generate.prompt", "got nothing, wanted a prompt, a prompt_file or a snapshot to go on from");
  if (c.generate.from_snapshot && prompts > 1)
    fail("generate.from_snapshot", "got a prompt too, wanted one of the two; a snapshot brings its text");
  if (c.generate.prompt && c.generate.prompt_file)
    fail("generate.prompt_file", "got a prompt too, wanted one of the two; remove one");
  if (c.generate.min_new_tokens > c.generate.max_new_tokens)
    fail("generate.min_new_tokens", fmt::format("got {}, wanted at most max_new_tokens = {}", c.generate.min_new_tokens,
                                                c.generate.max_new_tokens));
}

/// Calls `change` for every path, and `change_pattern` for every one that may be a glob.
template <class Change, class ChangePattern>
void change_paths(Config& c, Change&& change, ChangePattern&& change_pattern) {
  if (!c.model.path.empty()) change(c.model.path);
  if (c.model.tokenizer) change(*c.model.tokenizer);
  for (std::string& book : c.data.books) change_pattern(book);
  for (std::string& text : c.data.validation) change_pattern(text);
  for (std::string& text : c.data.control_books) change_pattern(text);
  if (c.lora.init_from) change(*c.lora.init_from);
  if (c.pretrain.token_cache) change(*c.pretrain.token_cache);
  if (c.generate.prompt_file) change(*c.generate.prompt_file);
  if (c.generate.from_snapshot) change(*c.generate.from_snapshot);
  for (std::string& novel : c.data.novels) change_pattern(novel);
  if (c.translation.comet_model) change(*c.translation.comet_model);
  if (c.score.base_scores) change(*c.score.base_scores);
}

/// Takes the keys of ablations away where they change nothing: a run without one is the run that it was before
/// there were any.
void drop_unused_ablations(Json& train) {
  const TrainConfig unused;
  if (train["optimizer"] == std::string(enum_name(unused.optimizer))) train.erase("optimizer");
  if (train.contains("optimizer")) {
    for (const char* adam : {"adam_beta1", "adam_beta2", "adam_eps", "weight_decay"}) train.erase(adam);
  } else {
    train.erase("decay_to_start");
  }
  if (!train.contains("optimizer") || train["optimizer"] == "sgd") train.erase("rms_eps");
  if (train["label_prefix"] == unused.label_prefix) train.erase("label_prefix");
  if (train["update_every_chunks"] == unused.update_every_chunks) train.erase("update_every_chunks");
  if (train["hard_quantile"] == unused.hard_quantile) {
    train.erase("hard_quantile");
    train.erase("hard_after_chunks");
  }
}

std::string identity_hash(Json effective) {
  effective.erase("notes");
  effective.erase("cost");
  if (effective["control"].empty()) {  // a run without controls is the run that it was before there were any
    effective.erase("control");
    effective["data"].erase("control_books");
  }
  if (effective["experiment"] == "perplexity" || effective["experiment"] == "pretrain") {
    effective.erase("generate");
    // Without a kept cache, none of its keys has a part in the numbers.
    if (effective["experiment"] == "pretrain" || effective["cache"]["policy"] == "rebuild") effective.erase("cache");
  }
  drop_unused_ablations(effective["train"]);
  effective["score"].erase("base_scores");
  effective["run"].erase("save_every_chunks");  // how often a run is saved changes none of its numbers
  if (effective["experiment"] == "generation")
    effective["generate"].erase("snapshot_every_chunks");
  if (effective["experiment"] == "pretrain") {
    for (const char* other : {"window", "score", "lora", "train", "fidelity", "control"}) effective.erase(other);
    for (const char* harmless : {"save_every_steps", "token_cache"}) effective["pretrain"].erase(harmless);
  } else {
    effective.erase("pretrain");
    for (const char* other : {"exclude", "validation"}) effective["data"].erase(other);
  }
  if (effective["experiment"] == "translation") {
    for (const char* other : {"window", "cache"}) effective.erase(other);
    effective["score"].erase("segment_edges");
    for (const char* other : {"books", "max_tokens", "strip"}) effective["data"].erase(other);
    for (const char* other : {"prompt", "prompt_file", "tokens", "schedule", "from_snapshot", "snapshot_every_chunks"}) effective["generate"].erase(other);
  } else {
    effective.erase("translation");
    for (const char* other : {"novels", "max_chunks"}) effective["data"].erase(other);
  }
  return hash_hex(dump_json(effective, "config"));
}

// A longer or shorter training may go on from a state: only the rest of its schedule differs.
std::string resumable_hash(Json effective) {
  for (const char* length : {"tokens", "passes"}) effective["pretrain"].erase(length);
  effective["translation"].erase("comet_model");  // it judges what is there
  return identity_hash(std::move(effective));
}

}  // namespace

std::string input_hash(Config config, const InputHashes& hashes) {
  // Where an input lies is no part of it; that it is given, and what it holds, is.
  const std::string model = config.model.path.empty() ? "" : hashes.model(config.model.path);
  const std::string tokenizer = hashes.tokenizer(config.model.tokenizer.value_or(config.model.path));
  for (std::optional<std::string>* unused : {&config.model.tokenizer, &config.score.base_scores, &config.pretrain.token_cache})
    unused->reset();
  if (config.pretrain.tokens) config.pretrain.passes = PretrainConfig().passes;  // which then say nothing
  config.model.path.clear();
  change_paths(
      config, [&](std::string& path) { path = hashes.path(path); }, [&](std::string& pattern) { pattern = hashes.texts(pattern); });
  config.model.path = model;
  config.model.tokenizer = tokenizer;
  return identity_hash(section_json(config));
}

LoadedConfig parse_config(const std::string& text, const std::string& where, const std::string& base_folder,
                          const std::vector<Override>& overrides) {
  Json json = parse_json(text, where, Exit::usage);
  if (!json.is_object()) throw Error(Exit::usage, fmt::format("{}: got no object, wanted one, {{...}}", where));
  for (const Override& override_ : overrides) apply_override(json, override_);

  const KeySource source = [&](const std::string& key) {
    for (const Override& override_ : overrides) {
      const std::string& set = override_.key;
      const bool inside = key == set || key.rfind(set + ".", 0) == 0 || key.rfind(set + "[", 0) == 0;
      if (inside) return fmt::format("{} with --set {}={}", where, set, override_.value);
    }
    return where;
  };
  LoadedConfig loaded;
  read_config(json, loaded.config, source);
  check_rules(loaded.config, source);
  loaded.set_by_fidelity = fill_defaults(loaded.config);
  if (!loaded.config.pretrain.kv_heads) loaded.config.pretrain.kv_heads = loaded.config.pretrain.heads;
  loaded.hash = resumable_hash(section_json(loaded.config)).substr(0, 12);

  const fs::path base = fs::absolute(base_folder.empty() ? fs::path(".") : fs::path(base_folder));
  const auto made_absolute = [](const fs::path& folder, const std::string& path) {
    const fs::path absolute = (folder / path).lexically_normal();
    return (absolute.has_filename() ? absolute : absolute.parent_path()).string();  // "folder/" means "folder"
  };
  change_paths(
      loaded.config, [&](std::string& path) { path = made_absolute(base, path); },
      [&](std::string& pattern) {
        // What exists by that very name is meant as it stands; else the folder's own brackets are no pattern.
        const std::string literal = made_absolute(base, pattern);
        pattern = fs::exists(literal) ? literal : made_absolute(glob_escaped(base.string()), pattern);
      });
  loaded.effective = section_json(loaded.config);
  return loaded;
}

LoadedConfig load_config(const std::string& path, const std::vector<Override>& overrides) {
  std::string text;
  try {
    text = read_file(path);
  } catch (const Error& error) {
    throw Error(Exit::usage, error.what());
  }
  return parse_config(text, path, fs::absolute(path).parent_path().string(), overrides);
}

}  // namespace templora
