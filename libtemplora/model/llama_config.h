#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "core/json.h"

namespace templora {

/// How rotary positions are stretched; the names are those of Hugging Face's `rope_type`, which knows no `ntk`.
struct RopeScaling {
  enum class Type { none, linear, dynamic, ntk, yarn, llama3 };
  Type type = Type::none;
  double factor = 1.0;
  std::int64_t original_positions = 0;  ///< original_max_position_embeddings
  double low_freq_factor = 1.0;         ///< llama3
  double high_freq_factor = 4.0;        ///< llama3
  double beta_fast = 32.0;              ///< yarn
  double beta_slow = 1.0;               ///< yarn
  bool truncate = true;                 ///< yarn: correction range rounded to whole dimensions
  double attention_factor = 1.0;        ///< yarn: cos and sin are multiplied by it
};

/// What config.json says about a Llama-family decoder.
struct LlamaConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t ffn_size = 0;  ///< intermediate_size
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 2048;  ///< max_position_embeddings, or what an override of rope_scaling stretches it to
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000.0;
  RopeScaling rope_scaling;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tied_embeddings = false;
};

/// Reads a Hugging Face config.json. `rope_scaling` replaces the file's own where given, and max_positions then
/// grows to factor · original positions.
/// Whatever this code does not compute (other architectures, sliding windows, other activations,
/// quantised weights, other kinds of rope) is refused by name.
/// Throws Error(bad_input) naming file, field, got and wanted.
LlamaConfig read_llama_config(const std::filesystem::path& file, const std::optional<Json>& rope_scaling = {});

/// The same from parsed JSON; `where` names the source in messages.
LlamaConfig llama_config_from_json(const Json& json, const std::string& where,
                                   const std::optional<Json>& rope_scaling = {});

/// The base of NTK-aware scaling, theta · stretch^(d / (d - 2)) with d = head_dim: the slowest angle becomes `stretch`
/// times slower, the fastest stays (bloc97 2023; Peng et al. 2023, arXiv 2309.00071, section 3.1).
double ntk_theta(double theta, double stretch, std::int64_t head_dim);

/// config.json for transformers' LlamaForCausalLM with these values. ntk, which transformers does not know, is written
/// as the larger rope_theta that it is.
Json to_json(const LlamaConfig& config, const std::string& torch_dtype);

}  // namespace templora
