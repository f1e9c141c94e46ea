#include "run/config.h"

#include <fmt/format.h>

#include <filesystem>

#include "core/file.h"
#include "core/hash.h"
#include "run/config_fields.h"
#include "run/config_inputs.h"
#include "run/config_rules.h"
#include "run/model_folder.h"

namespace templora {
namespace {

constexpr std::size_t kHashDigits = 12;
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

/// The paths that may also be the name of a repository in the local cache.
std::vector<std::string*> model_folders(Config& c) {
  std::vector<std::string*> found;
  if (!c.model.path.empty()) found.push_back(&c.model.path);
  for (std::optional<std::string>* path : {&c.model.tokenizer, &c.lora.init_from})
    if (*path) found.push_back(&**path);
  return found;
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

/// Takes keys that 0.1 did not have away where they have their default: its runs and cells keep their hashes.
void drop_new_defaults(Json& effective) {
  Config defaults;
  visit_leaves(defaults, "", [&](const std::string& key, auto& value, const FieldInfo& info) {
    if (!info.new_key) return;
    const std::size_t dot = key.find('.');
    Json& section = dot == std::string::npos ? effective : effective[key.substr(0, dot)];
    const std::string name = key.substr(dot == std::string::npos ? 0 : dot + 1);
    if (section[name] == field_json(value)) section.erase(name);
  });
}

std::string identity_hash(Json effective, HashForm form) {
  if (form == HashForm::present) effective["score"]["segment_edges"] = ScoreConfig().segment_edges;
  drop_new_defaults(effective);
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
std::string resumable_hash(Json effective, HashForm form) {
  for (const char* length : {"tokens", "passes"}) effective["pretrain"].erase(length);
  effective["translation"].erase("comet_model");  // it judges what is there
  return identity_hash(std::move(effective), form).substr(0, kHashDigits);
}

/// Forgets the inputs that the experiment has no use for: they need not even be there.
void drop_unused_inputs(Config& c) {
  if (c.experiment != ExperimentKind::pretrain) c.data.validation.clear();
  if (c.experiment == ExperimentKind::pretrain) {
    c.model.path.clear();
    c.lora.init_from.reset();
  }
  if (c.experiment == ExperimentKind::translation || c.experiment == ExperimentKind::generation) c.data.books.clear();
  if (c.experiment != ExperimentKind::translation) {
    c.data.novels.clear();
    c.translation.comet_model.reset();
  }
  if (c.experiment != ExperimentKind::generation) {
    c.generate.prompt_file.reset();
    c.generate.from_snapshot.reset();
  }
  if (c.control.empty()) c.data.control_books.clear();
}

}  // namespace

std::string input_hash(Config config, const InputHashes& hashes, HashForm form) {
  drop_unused_inputs(config);
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
  return identity_hash(section_json(config), form);
}

LoadedConfig parse_config(const std::string& text, const std::string& where, const std::string& base_folder,
                          const std::vector<Override>& overrides) {
  Json json = parse_json(text, where, Exit::usage);
  if (!json.is_object()) throw Error(Exit::usage, fmt::format("{}: got no object, wanted one, {{...}}", where));
  for (const Override& override_ : overrides) apply_override(json, override_);

  const KeySource source = [&](const std::string& key) {
    for (auto last = overrides.rbegin(); last != overrides.rend(); ++last) {  // of two for one key the later one counts
      const std::string& set = last->key;
      const bool inside = key == set || key.rfind(set + ".", 0) == 0 || key.rfind(set + "[", 0) == 0;
      if (inside) return fmt::format("{} with --set {}={}", where, set, last->value);
    }
    return where;
  };
  LoadedConfig loaded;
  read_config(json, loaded.config, source);
  check_rules(loaded.config, source);
  loaded.set_by_fidelity = fill_defaults(loaded.config);
  if (!loaded.config.pretrain.kv_heads) loaded.config.pretrain.kv_heads = loaded.config.pretrain.heads;
  loaded.hash = resumable_hash(section_json(loaded.config), HashForm::present);
  loaded.hash_of_0_1 = resumable_hash(section_json(loaded.config), HashForm::of_0_1);

  const fs::path base = fs::absolute(base_folder.empty() ? fs::path(".") : fs::path(base_folder));
  const auto made_absolute = [](const fs::path& folder, const std::string& path) { return normal_path(folder / path).string(); };
  loaded.model_as_written = loaded.config.model.path;
  for (std::string* model : model_folders(loaded.config)) *model = find_model(*model, base).string();
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

Json readable_config(Json effective) {
  if (!effective.is_object() || !effective.contains("model") || !effective["model"].is_object()) return effective;
  Json& model = effective["model"];
  if (model.value("path", Json()) == "") model.erase("path");
  return effective;
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
