#include "lora/peft_folder.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "model/tensors.h"
#include "config/model_name.h"
#include "run/run_state.h"

namespace templora {
namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kPickle = "adapter_model.bin";

std::string peft_name(const std::string& module, const char* matrix) {
  return fmt::format("base_model.model.{}.{}.weight", module, matrix);
}

[[noreturn]] void refuse(const fs::path& file, const std::string& field, const std::string& got,
                         const std::string& wanted) {
  throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted {}", file.string(), field, got, wanted));
}

// Options of PEFT's LoraConfig that change what is computed; each must be absent, null, false or empty.
constexpr const char* kRefused[] = {"use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save",
                                    "megatron_config", "layer_replication", "fan_in_fan_out", "lora_bias",
                                    "exclude_modules", "trainable_token_indices", "target_parameters", "use_qalora",
                                    "alora_invocation_tokens", "arrow_config", "velora_config", "monteclora_config",
                                    "use_bdlora", "kasa_config"};

// What a model is called, without whose it is.
std::string base_name(const std::string& path) { return fs::path(model_name(path)).filename().string(); }

bool is_off(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_object() || value.is_array() || value.is_string()) && value.empty());
}

void check_config(const Json& json, const fs::path& file, const LoraConfig& config) {
  if (!json.is_object()) refuse(file, "content", "no object", "a PEFT adapter_config.json");
  const auto wanted = [&](const char* field, const Json& value, const char* key) {
    const Json got = json.contains(field) ? json.at(field) : Json();
    if (got != value)
      refuse(file, field, got.dump(), fmt::format("{}; set {} to match the adapter", value.dump(), key));
  };
  wanted("peft_type", "LORA", "lora.init_from");
  for (const char* field : kRefused)
    if (json.contains(field) && !is_off(json.at(field)))
      refuse(file, field, json.at(field).dump(), "nothing: this option is not supported");
  if (json.contains("bias") && json.at("bias") != "none") refuse(file, "bias", json.at("bias").dump(), "\"none\"");
  // "pissa", "olora" and their like belong to a base whose weights were changed; PEFT writes true once that is undone.
  if (const Json start = json.value("init_lora_weights", Json()); start.is_string())
    if (const std::string name = start.get<std::string>(); name != "gaussian" && name != "eva" && name != "orthogonal")
      refuse(file, "init_lora_weights", printable(start.dump()),
             "true: convert the adapter when it is saved, since others change the base");
  wanted("r", config.rank, "lora.rank");
  if (!json.contains("lora_alpha") || !json.at("lora_alpha").is_number() ||
      json.at("lora_alpha").get<double>() != config.alpha)
    refuse(file, "lora_alpha", json.value("lora_alpha", Json()).dump(),
           fmt::format("{}; set lora.alpha to match the adapter", config.alpha));
}

}  // namespace

void save_peft_folder(const LoraAdapter& adapter, const fs::path& folder, const std::string& base_path) {
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
  const std::string where = printable(folder.string(), 1000);
  if (fs::exists(folder / kPickle, ignored))
    throw Error(Exit::bad_input,
                fmt::format("{}: got weights in {}, a Python pickle, which is not read; wanted {}; convert it in that "
                            "folder: python3 -c "
                            "\"import torch, safetensors.torch as s; s.save_file({{k: v.contiguous() for k, v in "
                            "torch.load('{}', map_location='cpu', weights_only=True).items()}}, '{}')\"",
                            where, kPickle, kWeightsFile, kPickle, kWeightsFile));
  throw Error(Exit::bad_input, fmt::format("{}: {}: no such file, wanted a PEFT adapter folder", where, kWeightsFile));
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
  const fs::path config_file = folder / kConfigFile;
  check_config(parse_foreign_json(read_file(config_file), config_file.string()), config_file, adapter.config());
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
    else if (!view_of(found->second).isfinite().all().item<bool>())
      throw Error(Exit::bad_input,
                  fmt::format("{}: {}: got NaN or infinity, wanted finite weights; the adapter was damaged or its "
                              "training diverged: use another one",
                              files.path().string(), name));
    else
      copies.emplace_back(target, &found->second);
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

}  // namespace templora
