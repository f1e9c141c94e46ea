#include "config/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "config/adapter_sites.h"
#include "config/config_fields.h"
#include "config/config_file.h"
#include "config/config_inputs.h"
#include "config/config_rules.h"
#include "config/model_folder.h"
#include "config/model_shape.h"
#include "core/data_manifest.h"
#include "core/hash.h"

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

/// Calls `change(key, path, info)` for every path, and `change_pattern(key, pattern)` for every one that may be a glob.
template <class Change, class ChangePattern>
void change_paths(Config& c, Change&& change, ChangePattern&& change_pattern) {
  visit_leaves(c, "", [&](const std::string& key, auto& value, const FieldInfo& info) {
    if (!info.path) return;
    using T = std::remove_reference_t<decltype(value)>;
    if constexpr (std::is_same_v<T, std::vector<std::string>>)
      for (std::string& pattern : value) change_pattern(key, pattern);
    else if constexpr (std::is_same_v<T, std::optional<std::string>>)
      value ? change(key, *value, info) : void();
    else if constexpr (std::is_same_v<T, std::string>)
      value.empty() ? void() : change(key, value, info);
  });
}

/// Shipped configs name texts in a folder beside the checkout ("../../../shared/data/pg19/349.txt"). Where that is
/// not there, the same place below the checkout is meant ("../../data/pg19/349.txt"), which scripts/get-data fills. The
/// config's hash has the path as it is written, so it is the same either way.
std::string beside_or_inside(const fs::path& base, const std::string& written) {
  constexpr std::string_view kBeside = "../shared/data/", kInside = "data/";
  const std::size_t at = written.rfind(kBeside);
  if (at == written.npos || fs::exists(normal_path(base / written).parent_path())) return written;
  return std::string(written).replace(at, kBeside.size(), kInside);
}

/// Whether the key decides something of this run.
bool counts(const FieldInfo& info, const Config& c) {
  return info.counts_in(only(c.experiment)) && (info.has_part == nullptr || info.has_part(c));
}

/// Hash of the keys that count. What is resumed may differ in some: a longer training differs in the rest of its
/// schedule, and a judge judges what is there.
std::string identity_hash(const Config& config, HashForm form, bool resumed) {
  Config c = config;
  Json effective = section_json(c), defaults = config_defaults();
  const Experiments experiment = only(c.experiment);
  for (const auto& [key, info] : config_keys()) {
    Json &value = *find_key(effective, key), &unused = *find_key(defaults, key);
    const bool stands = info.counts_in(experiment) ? counts(info, c) && !(info.new_key && value == unused)
                                                   : (info.once_hashed & experiment) != 0;
    if (!stands || (resumed && info.free_to_resume))
      erase_key(effective, key);
    else if (form == HashForm::present && !info.counts_in(experiment))
      value = unused;
  }
  return hash_hex(dump_json(effective, "config"));
}

std::string resumable_hash(const Config& config, HashForm form) {
  return identity_hash(config, form, true).substr(0, kHashDigits);
}

/// Forgets the inputs that have no part in the run, which need not even be there, and the folders that it keeps things
/// in.
void drop_unused_paths(Config& c) {
  Config unused;
  std::vector<void*> defaults;
  visit_leaves(unused, "", [&](const std::string&, auto& value, const FieldInfo&) { defaults.push_back(&value); });
  const Config before = c;
  std::size_t at = 0;
  visit_leaves(c, "", [&](const std::string&, auto& value, const FieldInfo& info) {
    void* const fresh = defaults[at++];
    if (info.path && !counts(info, before)) value = *static_cast<std::remove_reference_t<decltype(value)>*>(fresh);
  });
}

}  // namespace

std::string input_hash(Config config, const InputHashes& hashes, HashForm form) {
  drop_unused_paths(config);
  // Where an input lies is no part of it; that it is given, and what it holds, is.
  const std::string model = config.model.path.empty() ? "" : hashes.model(config.model.path);
  const std::string tokenizer = hashes.tokenizer(config.model.tokenizer.value_or(config.model.path));
  config.model.tokenizer.reset();
  if (config.pretrain.tokens) config.pretrain.passes = PretrainConfig().passes;  // which then say nothing
  config.model.path.clear();
  change_paths(
      config, [&](const std::string&, std::string& path, const FieldInfo&) { path = hashes.path(path); },
      [&](const std::string&, std::string& pattern) { pattern = hashes.texts(pattern); });
  config.model.path = model;
  config.model.tokenizer = tokenizer;
  return identity_hash(config, form, false);
}

void require_inputs(const LoadedConfig& loaded) {
  Config config = loaded.config;
  drop_unused_paths(config);
  struct Missing {
    std::string line, kind;
    int more = 0;  // of its kind: texts of one key that one command gets
  };
  std::vector<Missing> missing;
  const auto note = [&](const std::string& line, const std::string& kind = "") {
    const auto alike = std::find_if(missing.begin(), missing.end(), [&](const Missing& m) { return m.kind == kind; });
    if (kind.empty() || alike == missing.end())
      missing.push_back({line, kind});
    else
      ++alike->more;
  };
  change_paths(
      config,
      [&](const std::string& key, const std::string& path, const FieldInfo& info) {
        const bool model = &path == &config.model.path, optional = *info.recorded == '\0';  // COMET's weights are
        if (!model && !optional && !fs::exists(path)) {
          note(fmt::format("{}: {}: no such file or folder; name another with --set {}=PATH{}", key,
                           printable(path, 1000), key, info.repository ? how_to_fetch(path) : ""));
        }
        if (!model) return;
        try {
          require_model_folder(path, loaded.model_as_written);
        } catch (const Error& error) {
          note(error.what());
        }
      },
      [&](const std::string& key, const std::string& pattern) {
        try {
          expand_globs({pattern}, ".");
        } catch (const Error& error) {
          const std::string command = how_to_get(pattern);
          note(fmt::format("{}: {}", key, error.what()), command.empty() ? "" : key.substr(0, key.find('[')) + command);
        }
      });
  std::vector<std::string> lines;
  for (const Missing& m : missing)
    lines.push_back(m.line + (m.more == 0 ? "" : fmt::format(", and {} more like it", m.more)));
  if (!lines.empty()) throw Error(Exit::bad_input, lines);
  if (config.model.path.empty() || !config.score.adapter) return;
  std::optional<ModelShape> shape;
  try {
    shape = read_model_shape(config.model.path);
  } catch (const Error&) {
    return;  // who loads the model says what is wrong with it
  }
  check_adapter_sites(config.lora, shape->layer(0), shape->layers);  // before its weights are read
}

namespace {

LoadedConfig checked(FlatConfig flat, const std::string& where, const fs::path& base_folder,
                     const std::vector<Override>& overrides) {
  for (const Override& override_ : overrides) apply_override(flat.json, override_);
  Mistakes mistakes([&](const std::string& key) {
    for (auto last = overrides.rbegin(); last != overrides.rend(); ++last) {  // of two for one key the later one counts
      const std::string& set = last->key;
      const bool inside = key == set || key.rfind(set + ".", 0) == 0 || key.rfind(set + "[", 0) == 0;
      if (inside) return fmt::format("{} with --set {}={}", where, set, last->value);
    }
    return flat.source(key);
  });
  LoadedConfig loaded;
  read_config(flat.json, loaded.config, mistakes);
  check_rules(loaded.config, mistakes);
  mistakes.raise();
  loaded.set_by_fidelity = fill_defaults(loaded.config);
  if (!loaded.config.pretrain.kv_heads) loaded.config.pretrain.kv_heads = loaded.config.pretrain.heads;
  loaded.hash = resumable_hash(loaded.config, HashForm::present);
  loaded.hash_of_0_1 = resumable_hash(loaded.config, HashForm::of_0_1);

  const fs::path base = fs::absolute(base_folder.empty() ? fs::path(".") : base_folder);
  const auto made_absolute = [](const fs::path& folder, const std::string& path) {
    return normal_path(folder / path).string();
  };
  loaded.model_as_written = loaded.config.model.path;
  change_paths(
      loaded.config,
      [&](const std::string&, std::string& path, const FieldInfo& info) {
        const std::string found = beside_or_inside(base, path);
        path = info.repository ? find_model(found, base).string() : made_absolute(base, found);
      },
      [&](const std::string&, std::string& pattern) {
        pattern = beside_or_inside(base, pattern);
        // What exists by that very name is meant as it stands; else the folder's own brackets are no pattern.
        const std::string literal = made_absolute(base, pattern);
        pattern = fs::exists(literal) ? literal : made_absolute(glob_escaped(base.string()), pattern);
      });
  loaded.effective = section_json(loaded.config);
  return loaded;
}

}  // namespace

LoadedConfig parse_config(const std::string& text, const std::string& where, const std::string& base_folder,
                          const std::vector<Override>& overrides) {
  return checked(flat_config(text, where, base_folder), where, base_folder, overrides);
}

Json readable_config(Json effective) {
  if (!effective.is_object() || !effective.contains("model") || !effective["model"].is_object()) return effective;
  Json& model = effective["model"];
  if (model.value("path", Json()) == "") model.erase("path");
  return effective;
}

LoadedConfig load_config(const std::string& path, const std::vector<Override>& overrides) {
  return checked(read_flat_config(path), path, fs::absolute(path).parent_path(), overrides);
}

}  // namespace templora
