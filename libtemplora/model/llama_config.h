#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "config/layer_spec.h"
#include "config/model_shape.h"
#include "core/json.h"
#include "model/rope_config.h"

namespace templora {

/// What config.json says about a decoder of one of the known families.
struct LlamaConfig {
  std::string model_type = "llama";
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t ffn_size = 0;  ///< intermediate_size
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 2048;  ///< max_position_embeddings, or what an override of rope_scaling stretches it to
  double rms_norm_eps = 1e-6;
  Rope rope;          ///< of the layers whose spec says `full`
  Rope sliding_rope;  ///< of those whose spec says `sliding`
  bool tied_embeddings = false;
  std::vector<LayerSpec> layer_specs;  ///< one a layer; empty: Llama's

  LayerSpec layer(std::int64_t index) const {
    return layer_specs.empty() ? LayerSpec{} : layer_specs.at(std::size_t(index));
  }
  /// Whether the angles depend on a text's length, so that kept keys would have to be turned anew.
  bool angles_grow() const;
};

/// Reads a Hugging Face config.json. `rope_scaling` replaces the file's own where given (of layers with full attention,
/// where the family's angles are by layer type), and max_positions then grows to factor · original positions.
/// Whatever this code does not compute (other model types, other activations, quantised weights, other kinds of rope)
/// is refused by name; where two keys contradict each other it does what transformers 5 does and logs it, or refuses.
/// Throws Error(bad_input) naming file, field, got and wanted.
LlamaConfig read_llama_config(const std::filesystem::path& file, const std::optional<Json>& rope_scaling = {});

/// The same from parsed JSON; `where` names the source in messages.
LlamaConfig llama_config_from_json(const Json& json, const std::string& where,
                                   const std::optional<Json>& rope_scaling = {});

/// The sizes alone, without a name.
ModelShape shape_of(const LlamaConfig& config);

/// config.json for transformers' LlamaForCausalLM with these values. ntk, which transformers does not know, is written
/// as the larger rope_theta that it is. Only for a config of model_type "llama".
Json to_json(const LlamaConfig& config, const std::string& torch_dtype);

}  // namespace templora
