#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "core/json.h"
#include "lora/lora_adapter.h"

namespace templora {

/// Writes a PEFT adapter folder (adapter_config.json, adapter_model.safetensors), which PEFT's
/// `PeftModel.from_pretrained` opens. `base_path` is recorded as base_model_name_or_path.
/// Throws Error(resources).
void save_peft_folder(const LoraAdapter& adapter, const std::filesystem::path& folder, const std::string& base_path);

/// Copies the weights of a PEFT adapter folder into `adapter`. Rank, alpha, targets and layers must be
/// those of the adapter's config; other kinds of adapter and options that change the arithmetic (DoRA,
/// rsLoRA, biases, modules_to_save, ranks that differ by module) are refused by name, and weights that are not finite.
/// Throws Error(bad_input).
void load_peft_folder(LoraAdapter& adapter, const std::filesystem::path& folder);

/// A PEFT adapter folder, read without a model: each module's weight gets scale() · B A.
struct StoredAdapter {
  /// The two factors of one module.
  struct Factors {
    at::Tensor a, b;  ///< [rank, in], [out, rank] float32
  };
  std::filesystem::path folder;
  Json config;                             ///< adapter_config.json
  std::int64_t rank = 0;
  double alpha = 0;
  std::map<std::string, Factors> modules;  ///< by the base's names: "model.layers.3.self_attn.q_proj"
  double scale() const { return alpha / double(rank); }
};

/// Reads a PEFT adapter folder of any rank and modules. What is no plain LoRA is refused as load_peft_folder() refuses
/// it. Throws Error(bad_input) naming file, field or tensor.
StoredAdapter read_stored_adapter(const std::filesystem::path& folder);

/// Writes a PEFT adapter folder's two files into a folder that is there. Throws Error(resources).
void write_peft_files(const StoredAdapter& adapter, const std::filesystem::path& folder);

/// The file of an adapter folder that holds its weights. Throws Error(bad_input) where there is none; where there is a
/// Python pickle in its place, with the command that converts it.
std::filesystem::path peft_weights_file(const std::filesystem::path& folder);

/// The base model that a PEFT folder names, where that is not what `base_path` is called: an adapter belongs to the
/// weights that it was trained on, and only shapes can be checked. A hub cache's snapshot goes by its repository's
/// name. Throws Error(bad_input) where the folder has no readable config.
std::optional<std::string> other_base(const std::filesystem::path& folder, const std::string& base_path);

}  // namespace templora
