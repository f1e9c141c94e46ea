#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "core/json.h"
#include "model/llama.h"

namespace templora {

/// Opens a Hugging Face folder: config.json, then model.safetensors or its shards, each tensor copied
/// from the mapped file straight into its place, dtype and device. Everything missing, extra or misshapen
/// is collected and reported in one Error(bad_input) before any weight is allocated. A stored output projection that
/// differs from the embedding that config.json ties it to is used, and logged.
Llama load_llama(const std::filesystem::path& folder, at::ScalarType dtype, const at::Device& device,
                 const std::optional<Json>& rope_scaling = {});

/// Hash of all weights as they lie in memory, by name: equal before and after a run, or the base changed.
std::string weights_hash(LlamaImpl& model);

/// Normal(0, std) weights and unit norms from `seed`: stand-ins for benchmarks and the start of pretraining.
/// Projections that write to the residual stream get std / sqrt(2 · layers) (GPT-2's scheme).
void init_random_weights(LlamaImpl& model, std::uint64_t seed, double std = 0.02);

/// Writes model.safetensors with Hugging Face names and config.json of a Llama (model_type "llama"), such that
/// transformers opens the folder with the same logits. Throws Error(resources); each file is replaced as a whole or not
/// at all.
void save_llama(LlamaImpl& model, const std::filesystem::path& folder);

}  // namespace templora
