#include "model/load.h"

#include <fmt/format.h>

#include <ATen/core/grad_mode.h>
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/ops/equal.h>

#include <algorithm>
#include <cmath>

#include "config/model_folder.h"
#include "core/hash.h"
#include "core/log.h"
#include "io/weight_check.h"
#include "model/tensors.h"

namespace templora {
namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kEmbedding = "model.embed_tokens.weight";

// Old checkpoints store what is computed from config.json; tied ones may repeat the embedding.
bool is_redundant(const std::string& name, const LlamaConfig& config) {
  return name.ends_with(".rotary_emb.inv_freq") || (config.tied_embeddings && name == kHead);
}

// What transformers 5 does with a tied model's stored head: another one than the embedding is used, and a head without
// an embedding is both. → the name under which the embedding is stored.
std::string settle_tied_head(const SafetensorsFiles& files, const fs::path& config_file, at::ScalarType dtype,
                             LlamaConfig& config) {
  const auto head = files.tensors().find(kHead), embedding = files.tensors().find(kEmbedding);
  if (!config.tied_embeddings || head == files.tensors().end()) return kEmbedding;
  if (embedding == files.tensors().end()) return kHead;
  const TensorSpan &a = head->second, &b = embedding->second;
  const bool same = a.shape == b.shape && (a.type == b.type ? std::ranges::equal(a.bytes, b.bytes)
                                                            : at::equal(view_of(a).to(dtype), view_of(b).to(dtype)));
  if (same) return kEmbedding;
  log_line(fmt::format(
      "{}: tie_word_embeddings is true, but {} holds a {} other than {}; it is used, as transformers 5 does",
      config_file.string(), files.path().string(), kHead, kEmbedding));
  config.tied_embeddings = false;
  return kEmbedding;
}

// A model on the meta device has names and shapes but no memory.
WantedTensors wanted_tensors(const LlamaConfig& config) {
  WantedTensors wanted;
  LlamaImpl shapes(config, at::TensorOptions(at::kFloat).device(at::kMeta));
  for (const auto& item : shapes.named_parameters()) wanted[item.key()] = item.value().sizes().vec();
  return wanted;
}

}  // namespace

Llama load_llama(const std::filesystem::path& folder, at::ScalarType dtype, const at::Device& device,
                 const std::optional<Json>& rope_scaling) {
  const fs::path config_file = folder / "config.json";
  require_model_folder(folder);
  LlamaConfig config = read_llama_config(config_file, rope_scaling);
  const SafetensorsFiles files = SafetensorsFiles::open_folder(folder);
  const std::string embedding = settle_tied_head(files, config_file, dtype, config);
  WantedTensors wanted = wanted_tensors(config);
  if (embedding != kEmbedding) wanted[embedding] = wanted.extract(kEmbedding).mapped();
  check_weights(files, wanted, "does config.json belong to these weights?",
                [&](const std::string& name) { return is_redundant(name, config); });
  Llama model(config, at::TensorOptions(dtype).device(device));
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {
    const TensorSpan& span = files.at(item.key() == kEmbedding ? embedding : item.key());
    item.value().copy_(view_of(span));
    const std::byte* file_start = span.file->bytes().data();
    span.file->release(std::size_t(span.bytes.data() - file_start), span.bytes.size());
  }
  model->eval();
  return model;
}

std::string weights_hash(LlamaImpl& model) {
  const at::NoGradGuard no_grad;
  Hasher hasher;
  for (const auto& [name, tensor] : model.storage_tensors()) {
    const at::Tensor on_cpu = tensor.detach().cpu().contiguous();
    hasher.update(name);
    hasher.update(std::span(static_cast<const std::byte*>(on_cpu.const_data_ptr()), on_cpu.nbytes()));
  }
  return hasher.hex();
}

void init_random_weights(LlamaImpl& model, std::uint64_t seed, double std) {
  const at::NoGradGuard no_grad;
  at::Generator generator = at::detail::createCPUGenerator(seed);
  const double residual_std = std / std::sqrt(2.0 * double(model.layer_count()));
  for (auto& [name, tensor] : model.storage_tensors()) {
    if (name.ends_with("norm"))
      tensor.fill_(1);
    else if (name.ends_with(".bias"))
      tensor.zero_();
    else {
      const bool to_residual = name.ends_with("o_proj") || name.ends_with("down_proj");
      // Drawn in float32 on the CPU, so that a seed means the same model in every dtype and on every device.
      const at::Tensor drawn = at::empty(tensor.sizes(), at::TensorOptions(at::kFloat));
      drawn.normal_(0, to_residual ? residual_std : std, generator);
      tensor.copy_(drawn);
    }
  }
}

void save_llama(LlamaImpl& model, const std::filesystem::path& folder) {
  std::error_code failed;
  fs::create_directories(folder, failed);
  if (failed) throw Error(Exit::resources, fmt::format("{}: cannot be created: {}", folder.string(), failed.message()));
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  for (const auto& item : model.named_parameters()) tensors.emplace_back(item.key(), item.value());
  const bool bf16 = model.options().dtype() == at::kBFloat16;
  save_tensors(folder / "model.safetensors", tensors, {{"format", "pt"}});
  write_file_atomically(folder / "config.json",
                        dump_json_pretty(to_json(model.config(), bf16 ? "bfloat16" : "float32"), "config.json"));
}

}  // namespace templora
