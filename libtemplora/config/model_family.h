#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/layer_spec.h"
#include "core/json_fields.h"

namespace templora {

/// What a `model_type` means where a config.json leaves a key out (transformers 5's defaults), and which keys it has.
struct ModelFamily {
  enum class Windows {
    none,
    all,       ///< sliding_window, where given, holds for all layers
    switched,  ///< only under use_sliding_window, for the layers that layer_types or another key names
    by_type    ///< for the layers that layer_types names
  };

  const char* model_type;
  std::int64_t kv_heads = 0;  ///< 0: as many as query heads
  std::int64_t head_dim = 0;  ///< 0: hidden_size / num_attention_heads
  std::int64_t max_positions = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
  bool tied_embeddings = false;
  bool attention_bias_key = false;  ///< attention_bias: on q, k, v and o
  bool mlp_bias_key = false;
  /// no_rope_layers, no_rope_layer_interval; windows are then for layers without a rotation
  bool no_rope_keys = false;
  Windows windows = Windows::none;
  std::int64_t window = 0;  ///< sliding_window where it is absent; 0: none
  LayerSpec layer;          ///< of every layer, before its keys are read
};

/// The family that `model_type` names. Throws Error(bad_input) that lists the known ones for any other.
const ModelFamily& model_family(const JsonFields& fields);
std::vector<std::string> model_types();

/// What each of `layers` layers does. Throws Error(bad_input) where keys contradict each other, naming both.
std::vector<LayerSpec> read_layer_specs(const JsonFields& fields, const ModelFamily& family, std::int64_t layers);

}  // namespace templora
