#include "model/llama_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/json_fields.h"
#include "core/nearest.h"
#include "run/model_shape.h"

namespace templora {
namespace {

// YaRN's default for how much cos and sin grow with the factor (Peng et al. 2023, arXiv 2309.00071, eq. 22).
double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

Json rope_scaling_json(const RopeScaling& scaling) {
  switch (scaling.type) {
    case RopeScaling::Type::none:
    case RopeScaling::Type::ntk: break;
    case RopeScaling::Type::linear: return {{"rope_type", "linear"}, {"factor", scaling.factor}};
    case RopeScaling::Type::dynamic: return {{"rope_type", "dynamic"}, {"factor", scaling.factor}};
    case RopeScaling::Type::yarn:
      return {{"rope_type", "yarn"},
              {"factor", scaling.factor},
              {"original_max_position_embeddings", scaling.original_positions},
              {"beta_fast", scaling.beta_fast},
              {"beta_slow", scaling.beta_slow},
              {"truncate", scaling.truncate},
              {"attention_factor", scaling.attention_factor}};
    case RopeScaling::Type::llama3:
      return {{"rope_type", "llama3"},
              {"factor", scaling.factor},
              {"original_max_position_embeddings", scaling.original_positions},
              {"low_freq_factor", scaling.low_freq_factor},
              {"high_freq_factor", scaling.high_freq_factor}};
  }
  return nullptr;
}

RopeScaling parse_rope_scaling(const Json& json, const std::string& where, std::int64_t max_positions) {
  const JsonFields fields(json, where);
  RopeScaling scaling;
  const std::string type = fields.text("rope_type", fields.text("type", "default"));
  if (fields.number("partial_rotary_factor", 1.0) != 1.0)
    fields.refuse("partial_rotary_factor", "1: partial rotation is not supported");
  if (type == "default") return scaling;
  scaling.factor = fields.positive("factor");
  scaling.original_positions = fields.size("original_max_position_embeddings", max_positions);
  if (type == "linear") {
    scaling.type = RopeScaling::Type::linear;
  } else if (type == "dynamic") {
    scaling.type = RopeScaling::Type::dynamic;
    // transformers measures the growth against max_position_embeddings, whatever else the object holds.
    scaling.original_positions = max_positions;
  } else if (type == "ntk") {
    scaling.type = RopeScaling::Type::ntk;
  } else if (type == "yarn") {
    scaling.type = RopeScaling::Type::yarn;
    const double beta_fast = fields.number("beta_fast", 0.0), beta_slow = fields.number("beta_slow", 0.0);
    if (beta_fast != 0) scaling.beta_fast = fields.positive("beta_fast");
    if (beta_slow != 0) scaling.beta_slow = fields.positive("beta_slow");
    scaling.truncate = fields.boolean("truncate", true);
    const double mscale = fields.number("mscale", 0.0), mscale_all_dim = fields.number("mscale_all_dim", 0.0);
    if (fields.has("attention_factor"))
      scaling.attention_factor = fields.positive("attention_factor");
    else if (mscale != 0 && mscale_all_dim != 0)
      scaling.attention_factor = yarn_scale(scaling.factor, mscale) / yarn_scale(scaling.factor, mscale_all_dim);
    else
      scaling.attention_factor = yarn_scale(scaling.factor, 1.0);
  } else if (type == "llama3") {
    scaling.type = RopeScaling::Type::llama3;
    if (!fields.has("original_max_position_embeddings")) fields.size("original_max_position_embeddings");
    scaling.low_freq_factor = fields.positive("low_freq_factor");
    scaling.high_freq_factor = fields.positive("high_freq_factor");
    if (scaling.high_freq_factor <= scaling.low_freq_factor)
      fields.refuse("high_freq_factor", fmt::format("{}", scaling.high_freq_factor), "more than low_freq_factor");
  } else {
    fields.refuse("rope_type", "\"" + type + "\"", "default, linear, dynamic, ntk, yarn or llama3");
  }
  return scaling;
}

// model.rope_scaling is a person's: a key that no kind of scaling has is a slip of the pen there, where a model's own
// config.json may hold anything.
RopeScaling parse_override(const Json& json, std::int64_t max_positions) {
  constexpr const char* kKnown[] = {"rope_type", "type", "factor", "original_max_position_embeddings", "low_freq_factor", "high_freq_factor",
                                    "beta_fast", "beta_slow", "truncate", "attention_factor", "mscale", "mscale_all_dim",
                                    "partial_rotary_factor", "rope_theta", "finetuned"};
  for (const auto& item : json.items())
    if (std::find(std::begin(kKnown), std::end(kKnown), item.key()) == std::end(kKnown))
      throw Error(Exit::usage, fmt::format("model.rope_scaling: {}: unknown key; did you mean \"{}\"?", printable(item.key()),
                                           nearest_name(item.key(), {std::begin(kKnown), std::end(kKnown)})));
  try {
    return parse_rope_scaling(json, "model.rope_scaling", max_positions);
  } catch (const Error& error) {
    throw Error(Exit::usage, error.what());
  }
}

}  // namespace

LlamaConfig llama_config_from_json(const Json& json, const std::string& where, const std::optional<Json>& override) {
  const JsonFields fields(json, where, kModelAdvice);
  const std::string model_type = fields.text("model_type", "");
  if (model_type != "llama" && model_type != "mistral")
    fields.refuse("model_type", "\"" + model_type + "\"", "\"llama\" or \"mistral\" (Llama 2 and 3, Yi, Mistral)");
  const bool mistral = model_type == "mistral";
  // transformers' MistralConfig slides over 4096 tokens where the key is absent.
  if (mistral && !json.contains("sliding_window"))
    fields.refuse("sliding_window", "nothing (transformers then means 4096)", "null: sliding windows are not supported");
  if (fields.has("sliding_window"))
    fields.refuse("sliding_window", "null: sliding windows are not supported");
  const std::string activation = fields.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") fields.refuse("hidden_act", "\"" + activation + "\"", "\"silu\"");
  if (fields.has("quantization_config"))
    fields.refuse("quantization_config", "an object", "nothing: quantised weights are not supported; convert them to bfloat16");

  LlamaConfig config;
  const ModelShape shape = model_shape_of(fields);
  config.vocab_size = shape.vocab;
  config.hidden_size = shape.hidden;
  config.ffn_size = shape.ffn;
  config.layers = shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.head_dim = shape.head_dim;
  config.max_positions = shape.max_positions;
  config.attention_bias = shape.attention_bias;
  config.mlp_bias = shape.mlp_bias;
  config.tied_embeddings = shape.tied_embeddings;
  if (!fields.has("head_dim") && config.hidden_size % config.heads != 0)
    fields.refuse("hidden_size", fmt::format("{}", config.hidden_size),
                  fmt::format("a multiple of num_attention_heads {}, or head_dim given", config.heads));
  if (config.head_dim % 2 != 0) fields.refuse("head_dim", fmt::format("{}", config.head_dim), "an even number");
  if (config.heads % config.kv_heads != 0)
    fields.refuse("num_key_value_heads", fmt::format("{}", config.kv_heads),
                  fmt::format("a divisor of num_attention_heads {}", config.heads));
  config.rms_norm_eps = fields.positive("rms_norm_eps", config.rms_norm_eps);
  config.rope_theta = fields.positive("rope_theta", config.rope_theta);
  if (fields.number("partial_rotary_factor", 1.0) != 1.0)
    fields.refuse("partial_rotary_factor", "1: partial rotation is not supported");

  // transformers 5 keeps theta and scaling together under rope_parameters; the older key is rope_scaling.
  if (fields.has("rope_parameters")) {
    const JsonFields rope(fields.raw("rope_parameters"), where + ": rope_parameters");
    config.rope_theta = rope.positive("rope_theta", config.rope_theta);
    config.rope_scaling = parse_rope_scaling(fields.raw("rope_parameters"), where + ": rope_parameters", config.max_positions);
  } else if (fields.has("rope_scaling")) {
    config.rope_scaling = parse_rope_scaling(fields.raw("rope_scaling"), where + ": rope_scaling", config.max_positions);
  }
  if (override) {
    config.rope_scaling = parse_override(*override, config.max_positions);
    config.rope_theta = JsonFields(*override, "model.rope_scaling").positive("rope_theta", config.rope_theta);
    // Who stretches the positions wants to use what that makes of them.
    const RopeScaling& scaling = config.rope_scaling;
    const double stretched = std::min(scaling.factor * double(scaling.original_positions), double(JsonFields::kLargestSize));
    if (scaling.type != RopeScaling::Type::none) config.max_positions = std::max(config.max_positions, std::int64_t(stretched));
  }
  return config;
}

LlamaConfig read_llama_config(const std::filesystem::path& file, const std::optional<Json>& rope_scaling) {
  return llama_config_from_json(parse_json(read_file(file), file.string()), file.string(), rope_scaling);
}

double ntk_theta(double theta, double stretch, std::int64_t head_dim) {
  return theta * std::pow(stretch, double(head_dim) / double(head_dim - 2));
}

Json to_json(const LlamaConfig& config, const std::string& torch_dtype) {
  const RopeScaling& scaling = config.rope_scaling;
  // Dynamic scaling is measured against max_position_embeddings, which must then be the unstretched one.
  const bool dynamic = scaling.type == RopeScaling::Type::dynamic, ntk = scaling.type == RopeScaling::Type::ntk;
  return Json{{"architectures", {"LlamaForCausalLM"}},
              {"model_type", "llama"},
              {"hidden_act", "silu"},
              {"vocab_size", config.vocab_size},
              {"hidden_size", config.hidden_size},
              {"intermediate_size", config.ffn_size},
              {"num_hidden_layers", config.layers},
              {"num_attention_heads", config.heads},
              {"num_key_value_heads", config.kv_heads},
              {"head_dim", config.head_dim},
              {"max_position_embeddings", dynamic ? scaling.original_positions : config.max_positions},
              {"rms_norm_eps", config.rms_norm_eps},
              {"rope_theta", ntk ? ntk_theta(config.rope_theta, scaling.factor, config.head_dim) : config.rope_theta},
              {"rope_scaling", rope_scaling_json(scaling)},
              {"attention_bias", config.attention_bias},
              {"mlp_bias", config.mlp_bias},
              {"tie_word_embeddings", config.tied_embeddings},
              {"bos_token_id", 1},
              {"eos_token_id", 2},
              {"torch_dtype", torch_dtype}};
}

}  // namespace templora
