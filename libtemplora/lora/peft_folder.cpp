#include "lora/peft_folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <set>
#include <string_view>

#include "config/model_name.h"
#include "core/check.h"
#include "core/hub_cache.h"
#include "core/utf8.h"
#include "model/tensors.h"
#include "run/run_state.h"

namespace templora {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kPickle = "adapter_model.bin";

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::size_t kSuffixSize = std::string_view(".lora_A.weight").size();

std::string peft_name(const std::string& module, const char* matrix) {
  return fmt::format("{}{}.{}.weight", kPrefix, module, matrix);
}

[[noreturn]] void refuse(const fs::path& file, const std::string& field, const std::string& got,
                         const std::string& wanted) {
  throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted {}", file.string(), field, got, wanted));
}

// Options of PEFT's LoraConfig that change what is computed; each must be absent, null, false or empty.
constexpr const char* kRefused[] = {"use_dora", "use_rslora", "modules_to_save", "megatron_config",
                                    "layer_replication", "fan_in_fan_out", "lora_bias", "trainable_token_indices",
                                    "target_parameters", "use_qalora", "alora_invocation_tokens", "arrow_config",
                                    "velora_config", "monteclora_config", "use_bdlora", "kasa_config"};

// What a model is called, without whose it is and how it is spelled.
std::string base_name(const std::string& path) { return lower_ascii(fs::path(model_name(path)).filename().string()); }

bool is_off(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_object() || value.is_array() || value.is_string()) && value.empty());
}

Json read_config(const fs::path& file) {
  Json json = parse_foreign_json(read_file(file), file.string());
  if (!json.is_object()) refuse(file, "content", "no object", "a PEFT adapter_config.json");
  return json;
}

// That it is a LoRA whose arithmetic is ours.
void check_kind(const Json& json, const fs::path& file) {
  const Json kind = json.value("peft_type", Json());
  if (kind != "LORA") refuse(file, "peft_type", printable(kind.dump()), "\"LORA\"; no other kind is known");
  for (const char* field : kRefused)
    if (json.contains(field) && !is_off(json.at(field)))
      refuse(file, field, json.at(field).dump(), "nothing: this option is not supported");
  for (const auto& [pattern, of_all] : {std::pair{"rank_pattern", "r"}, {"alpha_pattern", "lora_alpha"}}) {
    if (!json.contains(pattern) || is_off(json.at(pattern))) continue;
    for (const auto& item : json.at(pattern).items())
      if (item.value() != json.value(of_all, Json()))
        refuse(file, pattern, printable(json.at(pattern).dump()),
               fmt::format("the same {} for all modules: others are not supported", of_all));
  }
  if (json.contains("bias") && json.at("bias") != "none") refuse(file, "bias", json.at("bias").dump(), "\"none\"");
  // "pissa", "olora" and their like belong to a base whose weights were changed; PEFT writes true once that is undone.
  if (const Json start = json.value("init_lora_weights", Json()); start.is_string())
    if (const std::string name = start.get<std::string>(); name != "gaussian" && name != "eva" && name != "orthogonal")
      refuse(file, "init_lora_weights", printable(start.dump()),
             "true: convert the adapter when it is saved, since others change the base");
}

void require_finite(const SafetensorsFiles& files, const std::string& name, const TensorSpan& span) {
  if (!view_of(span).isfinite().all().item<bool>())
    throw Error(Exit::bad_input,
                fmt::format("{}: {}: got NaN or infinity, wanted finite weights; the adapter was damaged or its "
                            "training diverged: use another one",
                            files.path().string(), printable(name)));
}

void check_config(const Json& json, const fs::path& file, const LoraConfig& config) {
  check_kind(json, file);
  if (const Json rank = json.value("r", Json()); rank != config.rank)
    refuse(file, "r", rank.dump(), fmt::format("{}; set lora.rank to match the adapter", config.rank));
  if (!json.contains("lora_alpha") || !json.at("lora_alpha").is_number() ||
      json.at("lora_alpha").get<double>() != config.alpha)
    refuse(file, "lora_alpha", json.value("lora_alpha", Json()).dump(),
           fmt::format("{}; set lora.alpha to match the adapter", config.alpha));
}

}  // namespace

void save_peft_folder(const LoraAdapter& adapter, const fs::path& folder, const std::string& base_path) {
  TEMPLORA_CHECK(adapter.config().low_rank(), "a PEFT folder holds low-rank updates");
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(Exit::resources, fmt::format("{}: cannot be created: {}", folder.string(), failed.message()));
  remove_leftovers(folder, "*.tmp-*");  // a killed process's
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const LoraAdapter::Named& named : adapter.named_tensors()) {
    tensors.emplace_back(peft_name(named.module, "lora_A"), named.a);
    tensors.emplace_back(peft_name(named.module, "lora_B"), named.b);
  }
  const LoraConfig& config = adapter.config();
  Json json{{"peft_type", "LORA"},
            {"task_type", "CAUSAL_LM"},
            {"base_model_name_or_path", base_path},
            {"r", config.rank},
            {"lora_alpha", config.alpha},
            {"lora_dropout", config.dropout},
            {"bias", "none"},
            {"target_modules", config.targets},
            {"layers_to_transform", config.layers ? Json(*config.layers) : Json()},
            {"layers_pattern", config.layers ? Json("layers") : Json()},
            {"inference_mode", true},
            {"init_lora_weights", true}};
  // PEFT passes over keys that it does not know. Such an adapter is wanted on a chunk's rows only.
  if (config.rows == AdapterRows::chunk) json["templora_rows"] = "chunk";
  save_tensors(folder / kWeightsFile, tensors, {{"format", "pt"}});
  write_file_atomically(folder / kConfigFile, dump_json_pretty(json, kConfigFile));
}

fs::path peft_weights_file(const fs::path& folder) {
  const fs::path file = folder / kWeightsFile;
  std::error_code ignored;
  if (fs::exists(file, ignored)) return file;
  const std::string where = shown_path(folder);
  if (fs::exists(folder / kPickle, ignored))
    throw Error(Exit::bad_input,
                fmt::format("{}: got weights in {}, a Python pickle, which is not read; wanted {}; convert it in that "
                            "folder: python3 -c "
                            "\"import torch, safetensors.torch as s; s.save_file({{k: v.contiguous() for k, v in "
                            "torch.load('{}', map_location='cpu', weights_only=True).items()}}, '{}')\"",
                            where, kPickle, kWeightsFile, kPickle, kWeightsFile));
  throw Error(Exit::bad_input, fmt::format("{}: {}: no such file, wanted a PEFT adapter folder{}", where, kWeightsFile,
                                           how_to_fetch(folder)));
}

std::optional<std::string> other_base(const fs::path& folder, const std::string& base_path) {
  const fs::path config_file = folder / kConfigFile;
  const Json json = parse_foreign_json(read_file(config_file), config_file.string());
  const Json base = json.is_object() ? json.value("base_model_name_or_path", Json()) : Json();
  if (!base.is_string() || base.get_ref<const std::string&>().empty()) return {};
  const auto& stored = base.get_ref<const std::string&>();
  return base_name(stored) == base_name(base_path) ? std::nullopt : std::optional(stored);
}

void load_peft_folder(LoraAdapter& adapter, const fs::path& folder) {
  TEMPLORA_CHECK(adapter.config().low_rank(), "a PEFT folder holds low-rank updates");
  const fs::path config_file = folder / kConfigFile;
  check_config(read_config(config_file), config_file, adapter.config());
  const SafetensorsFiles files = SafetensorsFiles::open_file(peft_weights_file(folder));
  // The weights say which modules are adapted, in whatever way the config spelled its targets.
  std::set<std::string> used;
  std::vector<std::string> problems;
  std::vector<std::pair<at::Tensor, const TensorSpan*>> copies;
  const auto plan = [&](const std::string& name, const at::Tensor& target) {
    used.insert(name);
    const auto found = files.tensors().find(name);
    if (found == files.tensors().end())
      problems.push_back(name + " is missing");
    else if (found->second.shape != target.sizes().vec())
      problems.push_back(fmt::format("{} has shape [{}], wanted [{}]", name, fmt::join(found->second.shape, ", "),
                                     fmt::join(target.sizes().vec(), ", ")));
    else {
      require_finite(files, name, found->second);
      copies.emplace_back(target, &found->second);
    }
  };
  for (const LoraAdapter::Named& named : adapter.named_tensors()) {
    plan(peft_name(named.module, "lora_A"), named.a);
    plan(peft_name(named.module, "lora_B"), named.b);
  }
  for (const auto& [name, span] : files.tensors())
    if (!used.count(name)) problems.push_back(printable(name) + " has no place");
  if (!problems.empty()) {
    const std::size_t count = problems.size();
    problems.resize(std::min<std::size_t>(count, 4));
    throw Error(Exit::bad_input,
                fmt::format("{}: {} tensors do not fit: {}; do lora.targets and lora.layers match the adapter?",
                            files.path().string(), count, fmt::join(problems, "; ")));
  }
  const at::NoGradGuard no_grad;
  for (auto& [target, span] : copies) target.copy_(view_of(*span));
}

StoredAdapter read_stored_adapter(const fs::path& folder) {
  const fs::path config_file = folder / kConfigFile;
  StoredAdapter adapter;
  adapter.folder = folder;
  adapter.config = read_config(config_file);
  check_kind(adapter.config, config_file);
  const Json rank = adapter.config.value("r", Json()), alpha = adapter.config.value("lora_alpha", Json());
  if (!rank.is_number_integer() || rank.get<std::int64_t>() < 1)
    refuse(config_file, "r", printable(shown_json(rank)), "a whole number of at least 1");
  if (!alpha.is_number() || !std::isfinite(alpha.get<double>()))
    refuse(config_file, "lora_alpha", printable(shown_json(alpha)), "a number");
  adapter.rank = rank.get<std::int64_t>();
  adapter.alpha = alpha.get<double>();
  const SafetensorsFiles files = SafetensorsFiles::open_file(peft_weights_file(folder));
  for (const auto& [name, span] : files.tensors()) {
    const bool is_a = name.ends_with(".lora_A.weight");
    if (!name.starts_with(kPrefix) || name.size() <= kPrefix.size() + kSuffixSize ||
        (!is_a && !name.ends_with(".lora_B.weight")))
      refuse(files.path(), printable(name), "this tensor", "only lora_A.weight and lora_B.weight of modules");
    if (span.shape.size() != 2 || span.shape[is_a ? 0 : 1] != adapter.rank)
      refuse(files.path(), printable(name), fmt::format("the shape [{}]", fmt::join(span.shape, ", ")),
             is_a ? fmt::format("[{}, in]", adapter.rank) : fmt::format("[out, {}]", adapter.rank));
    require_finite(files, name, span);
    const std::string module = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffixSize);
    (is_a ? adapter.modules[module].a : adapter.modules[module].b) =
        view_of(span).to(at::kFloat, /*non_blocking=*/false, /*copy=*/true);
  }
  if (adapter.modules.empty()) refuse(files.path(), "content", "no tensors", "those of a LoRA");
  for (const auto& [module, factors] : adapter.modules)
    if (!factors.a.defined() || !factors.b.defined())
      refuse(files.path(), printable(module), factors.a.defined() ? "no lora_B" : "no lora_A", "both");
  return adapter;
}

void write_peft_files(const StoredAdapter& adapter, const fs::path& folder) {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& [module, factors] : adapter.modules) {
    tensors.emplace_back(peft_name(module, "lora_A"), factors.a);
    tensors.emplace_back(peft_name(module, "lora_B"), factors.b);
  }
  save_tensors(folder / kWeightsFile, tensors, {{"format", "pt"}});
  write_file_atomically(folder / kConfigFile, dump_json_pretty(adapter.config, kConfigFile));
}

}  // namespace templora
