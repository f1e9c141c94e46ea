#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/model_family.h"
#include "core/json_fields.h"

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

/// The angles of some layers.
struct Rope {
  double theta = 10000.0;  ///< base of the angles
  RopeScaling scaling;
};

/// The angles of a model's layers, by LayerSpec::Rope.
struct Ropes {
  Rope full, sliding;
};

/// Reads rope_theta, rope_scaling and rope_parameters (flat, or by layer type for the family that has it so) of a
/// config.json as transformers 5 does: where they contradict each other, one log line says which was taken.
/// `where` names the source in messages. Throws Error(bad_input) for what is not supported.
Ropes read_ropes(const JsonFields& fields, const std::string& where, const ModelFamily& family,
                 std::int64_t max_positions);

/// A rope_scaling object that a person gave in place of the model's own, whose base is `theta` where it has none. A key
/// that no kind of scaling has is a slip of the pen there. Throws Error(usage).
Rope read_rope_override(const Json& json, double theta, std::int64_t max_positions);

/// What a config.json holds under rope_scaling; null for none and for ntk, which transformers does not know.
Json to_json(const RopeScaling& scaling);

/// The base of NTK-aware scaling, theta · stretch^(d / (d - 2)) with d = head_dim: the slowest angle becomes `stretch`
/// times slower, the fastest stays (bloc97 2023; Peng et al. 2023, arXiv 2309.00071, section 3.1).
double ntk_theta(double theta, double stretch, std::int64_t head_dim);

}  // namespace templora
