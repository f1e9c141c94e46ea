#include "lora/merge.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/mm.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "config/model_folder.h"
#include "config/model_name.h"
#include "core/hash.h"
#include "core/new_folder.h"
#include "lora/peft_folder.h"
#include "model/llama_config.h"
#include "model/tensors.h"

namespace templora {
namespace {

constexpr const char* kProvenance = "provenance.json";

// The weight that a module's update is added to, or a null pointer.
const TensorSpan* weight_of(const SafetensorsFiles& files, const std::string& module) {
  const auto found = files.tensors().find(module + ".weight");
  return found == files.tensors().end() ? nullptr : &found->second;
}

void check_fit(const SafetensorsFiles& files, const StoredAdapter& adapter, const fs::path& base) {
  if (adapter.config.value("templora_rows", Json()) == "chunk")
    throw Error(Exit::bad_input,
                fmt::format("{}: adapter_config.json: templora_rows: got \"chunk\", wanted an adapter of all rows: in "
                            "a merged model it would compute the context's rows too, which it never saw",
                            shown_path(adapter.folder)));
  if (const auto other = other_base(adapter.folder, base.string()))
    throw Error(Exit::bad_input,
                fmt::format("{}: adapter_config.json: base_model_name_or_path: got \"{}\", wanted \"{}\": an adapter "
                            "means nothing on other weights; if it is the same model, change the name there",
                            shown_path(adapter.folder), printable(*other, 1000),
                            printable(model_name(base.string()), 1000)));
  std::vector<std::string> problems;
  for (const auto& [module, factors] : adapter.modules) {
    const TensorSpan* weight = weight_of(files, module);
    const std::vector<std::int64_t> wanted{factors.b.size(0), factors.a.size(1)};
    if (!weight)
      problems.push_back(printable(module) + ".weight is missing");
    else if (weight->shape != wanted)
      problems.push_back(fmt::format("{}.weight has shape [{}], the update [{}]", printable(module),
                                     fmt::join(weight->shape, ", "), fmt::join(wanted, ", ")));
  }
  if (problems.empty()) return;
  const std::size_t count = problems.size();
  problems.resize(std::min<std::size_t>(count, 4));
  throw Error(Exit::bad_input, fmt::format("{}: {} modules of {} do not fit: {}; was the adapter made for this base?",
                                           shown_path(base), count, shown_path(adapter.folder),
                                           fmt::join(problems, "; ")));
}

bool is_float(StorageType type) {
  return type == StorageType::f64 || type == StorageType::f32 || type == StorageType::f16 || type == StorageType::bf16;
}

// Tables of angles that old checkpoints store are no weights; nobody reads them in another dtype.
bool keeps_dtype(const std::string& name, const TensorSpan& span) {
  return !is_float(span.type) || name.ends_with(".rotary_emb.inv_freq");
}

at::Tensor merged(const std::string& name, const TensorSpan& span, const StoredAdapter& adapter, at::ScalarType dtype) {
  const at::Tensor stored = view_of(span);
  if (keeps_dtype(name, span)) return stored;
  const std::string module = name.ends_with(".weight") ? name.substr(0, name.size() - 7) : "";
  const auto update = adapter.modules.find(module);
  if (update == adapter.modules.end()) return stored.to(dtype);
  const auto& [a, b] = update->second;  // [rank, in], [out, rank]
  return (stored.to(at::kFloat) + at::mm(b * adapter.scale(), a)).to(dtype);
}

void write_weights(const SafetensorsFiles& files, const StoredAdapter& adapter, at::ScalarType dtype,
                   const fs::path& folder, std::uint64_t shard_bytes) {
  const std::uint64_t element = dtype == at::kBFloat16 ? 2 : 4;
  std::vector<std::vector<std::string>> shards;
  std::uint64_t total = 0, filled = 0;
  for (const auto& [name, span] : files.tensors()) {
    const std::uint64_t stored = span.bytes.size();
    const std::uint64_t bytes = keeps_dtype(name, span) ? stored : stored / element_bytes(span.type) * element;
    if (shards.empty() || (filled > 0 && filled + bytes > shard_bytes)) shards.emplace_back(), filled = 0;
    shards.back().push_back(name);
    filled += bytes, total += bytes;
  }
  Json weight_map = Json::object();
  for (std::size_t i = 0; i < shards.size(); ++i) {
    const std::string file = shards.size() == 1
                                 ? "model.safetensors"
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    std::vector<std::pair<std::string, at::Tensor>> tensors;
    for (const std::string& name : shards[i]) {
      tensors.emplace_back(name, merged(name, files.at(name), adapter, dtype));
      weight_map[name] = file;
    }
    save_tensors(folder / file, tensors, {{"format", "pt"}});
  }
  if (shards.size() > 1)
    write_file_atomically(
        folder / "model.safetensors.index.json",
        dump_json_pretty({{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}, "index"));
}

// What belongs to a model beside its weights.
bool is_copied(const std::string& name) {
  if (name == "config.json" || name == kProvenance || name.ends_with(".index.json")) return false;
  const std::string extension = fs::path(name).extension().string();
  return extension == ".json" || extension == ".jinja" || extension == ".txt" || extension == ".model" ||
         name.starts_with("LICENSE") || name.starts_with("NOTICE");
}

void copy_others(const fs::path& base, const fs::path& folder) {
  for (const fs::directory_entry& entry : fs::directory_iterator(base)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_regular_file() && is_copied(name)) write_file_atomically(folder / name, read_file(entry.path()));
  }
}

void write_config(const fs::path& base, at::ScalarType dtype, const fs::path& folder) {
  Json config = parse_foreign_json(read_file(base / "config.json"), (base / "config.json").string());
  const char* name = dtype == at::kBFloat16 ? "bfloat16" : "float32";
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = name;
  if (config.contains("torch_dtype")) config["torch_dtype"] = name;
  write_file_atomically(folder / "config.json", dump_json_pretty(config, "config.json"));
}

std::string hash_of(const SafetensorsFiles& files) {
  Hasher hasher;
  for (const auto& [name, span] : files.tensors()) {
    hasher.update(name);
    hasher.update(span.bytes);
  }
  return hasher.hex();
}

// A made folder's own provenance, so that what it was made of is not lost.
void add_provenance_of(const fs::path& folder, Json& part) {
  const fs::path file = folder / kProvenance;
  if (fs::exists(file)) part["provenance"] = parse_foreign_json(read_file(file), file.string());
}

}  // namespace

std::string tensors_hash(const fs::path& folder) {
  return hash_of(SafetensorsFiles::open_folder(folder));
}

Json merge_adapter(const fs::path& base, const fs::path& adapter_folder, at::ScalarType dtype, const fs::path& out,
                   std::uint64_t shard_bytes) {
  const at::NoGradGuard no_grad;
  require_model_folder(base);
  read_llama_config(base / "config.json");  // what cannot be computed here, packed weights for one, cannot be merged
  const StoredAdapter adapter = read_stored_adapter(adapter_folder);
  const SafetensorsFiles files = SafetensorsFiles::open_folder(base);
  check_fit(files, adapter, base);
  NewFolder made(out);
  write_weights(files, adapter, dtype, made.filling(), shard_bytes);
  write_config(base, dtype, made.filling());
  copy_others(base, made.filling());
  Json provenance{{"made_by", "templora merge"},
                  {"templora_version", TEMPLORA_VERSION},
                  {"dtype", dtype == at::kBFloat16 ? "bfloat16" : "float32"},
                  {"base",
                   {{"name", model_name(base.string())},
                    {"config_hash", hash_hex(read_file(base / "config.json"))},
                    {"tensors_hash", hash_of(files)}}},
                  {"adapter",
                   {{"name", adapter_folder.filename().string()},
                    {"rank", adapter.rank},
                    {"alpha", adapter.alpha},
                    {"modules", adapter.modules.size()},
                    {"config_hash", hash_hex(adapter.config.dump())},
                    {"weights_hash", hash_hex(read_file(peft_weights_file(adapter_folder)))}}},
                  {"tensors_hash", tensors_hash(made.filling())}};
  add_provenance_of(base, provenance["base"]);
  add_provenance_of(adapter_folder, provenance["adapter"]);
  write_file_atomically(made.filling() / kProvenance, dump_json_pretty(provenance, kProvenance));
  made.commit();
  return provenance;
}

}  // namespace templora
