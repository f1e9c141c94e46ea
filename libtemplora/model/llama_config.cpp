#include "model/llama_config.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/model_family.h"
#include "core/check.h"
#include "core/file.h"
#include "core/json_fields.h"

namespace templora {

bool LlamaConfig::angles_grow() const {
  return rope.scaling.type == RopeScaling::Type::dynamic || sliding_rope.scaling.type == RopeScaling::Type::dynamic;
}

LlamaConfig llama_config_from_json(const Json& json, const std::string& where, const std::optional<Json>& override) {
  const JsonFields fields(json, where, kModelAdvice);
  const ModelFamily& family = model_family(fields);
  const std::string activation = fields.text("hidden_act", "silu");
  if (activation != "silu" && activation != "swish") fields.refuse("hidden_act", "\"" + activation + "\"", "\"silu\"");
  if (fields.has("quantization_config"))
    fields.refuse("quantization_config", printable(shown_json(fields.raw("quantization_config")), 60),
                  "nothing: quantised weights are not supported; convert them to bfloat16");

  LlamaConfig config;
  const ModelShape shape = model_shape_of(fields);
  config.model_type = family.model_type;
  config.vocab_size = shape.vocab;
  config.hidden_size = shape.hidden;
  config.ffn_size = shape.ffn;
  config.layers = shape.layers;
  config.heads = shape.heads;
  config.kv_heads = shape.kv_heads;
  config.head_dim = shape.head_dim;
  config.max_positions = shape.max_positions;
  config.tied_embeddings = shape.tied_embeddings;
  config.layer_specs = shape.layer_specs;
  if (!fields.has("head_dim") && family.head_dim == 0 && config.hidden_size % config.heads != 0)
    fields.refuse("hidden_size", fmt::format("{}", config.hidden_size),
                  fmt::format("a multiple of num_attention_heads {}, or head_dim given", config.heads));
  if (config.head_dim % 2 != 0) fields.refuse("head_dim", fmt::format("{}", config.head_dim), "an even number");
  if (config.heads % config.kv_heads != 0)
    fields.refuse("num_key_value_heads", fmt::format("{}", config.kv_heads),
                  fmt::format("a divisor of num_attention_heads {}", config.heads));
  config.rms_norm_eps = fields.positive("rms_norm_eps", family.rms_norm_eps);
  const Ropes ropes = read_ropes(fields, where, family, config.max_positions);
  config.rope = ropes.full;
  config.sliding_rope = ropes.sliding;
  if (override) {
    config.rope = read_rope_override(*override, config.rope.theta, config.max_positions);
    // Who stretches the positions wants to use what that makes of them.
    const RopeScaling& scaling = config.rope.scaling;
    const double stretched =
        std::min(scaling.factor * double(scaling.original_positions), double(JsonFields::kLargestSize));
    if (scaling.type != RopeScaling::Type::none)
      config.max_positions = std::max(config.max_positions, std::int64_t(stretched));
  }
  return config;
}

LlamaConfig read_llama_config(const std::filesystem::path& file, const std::optional<Json>& rope_scaling) {
  return llama_config_from_json(parse_foreign_json(read_file(file), file.string()), file.string(), rope_scaling);
}

ModelShape shape_of(const LlamaConfig& c) {
  return {"",         c.vocab_size, c.hidden_size,   c.ffn_size,        c.layers,     c.heads,
          c.kv_heads, c.head_dim,   c.max_positions, c.tied_embeddings, c.layer_specs};
}

Json to_json(const LlamaConfig& config, const std::string& torch_dtype) {
  const LayerSpec layer = config.layer(0);
  LayerSpec plain;
  plain.qkv_bias = plain.out_bias = layer.qkv_bias;
  plain.mlp_bias = layer.mlp_bias;
  for (std::int64_t i = 0; i < config.layers; ++i)
    TEMPLORA_CHECK(config.model_type == "llama" && config.layer(i) == plain, "only a Llama can be written");
  const RopeScaling& scaling = config.rope.scaling;
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
              {"rope_theta", ntk ? ntk_theta(config.rope.theta, scaling.factor, config.head_dim) : config.rope.theta},
              {"rope_scaling", to_json(scaling)},
              {"attention_bias", layer.qkv_bias},
              {"mlp_bias", layer.mlp_bias},
              {"tie_word_embeddings", config.tied_embeddings},
              {"bos_token_id", 1},
              {"eos_token_id", 2},
              {"torch_dtype", torch_dtype}};
}

}  // namespace templora
