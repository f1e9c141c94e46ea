#include "comet/comet_config.h"

#include <fmt/format.h>

#include "core/file.h"
#include "core/json_fields.h"

namespace templora {
namespace {

constexpr std::int64_t kLargestSize = std::int64_t{1} << 24;  // refused above before anything is allocated
constexpr std::size_t kMostHiddenSizes = 64;
constexpr const char* kAdvice = "make the folder with scripts/convert_comet.py";

Activation activation_of(const JsonFields& fields, const char* name) {
  const Json& value = fields.at(name);
  if (value == "Tanh") return Activation::tanh;
  if (value == "Sigmoid") return Activation::sigmoid;
  if (value == "Softsign") return Activation::softsign;
  fields.refuse(name, "\"Tanh\", \"Sigmoid\" or \"Softsign\"");
}

XlmrConfig parse_encoder(const Json& json, const std::string& where) {
  const JsonFields fields(json, where, kAdvice);
  fields.must_be("model_type", "xlm-roberta");
  fields.must_be("hidden_act", "gelu");
  fields.must_be("position_embedding_type", "absolute");
  fields.must_be("pad_token_id", 1);
  const auto size = [&](const char* name, std::int64_t least = 1, std::int64_t most = kLargestSize) {
    return fields.size_of(name, fields.at(name), least, most);
  };
  XlmrConfig config;
  config.vocab_size = size("vocab_size");
  config.hidden_size = size("hidden_size");
  config.ffn_size = size("intermediate_size");
  config.layers = size("num_hidden_layers", 1, JsonFields::kMostLayers);
  config.heads = size("num_attention_heads");
  if (config.hidden_size % config.heads != 0)
    fields.refuse("hidden_size", fmt::format("{}", config.hidden_size),
                  fmt::format("a multiple of num_attention_heads {}", config.heads));
  config.max_positions = size("max_position_embeddings", 6);
  config.type_vocab_size = size("type_vocab_size");
  config.layer_norm_eps = fields.positive("layer_norm_eps");
  return config;
}

}  // namespace

CometConfig comet_config_from_json(const Json& json, const std::string& where) {
  const JsonFields fields(json, where, kAdvice);
  fields.must_be("class_identifier", "regression_metric");
  fields.must_be("pool", "avg");
  fields.must_be("layer", "mix");
  fields.must_be("layer_norm", false);
  CometConfig config;
  const Json& transformation = fields.at("layer_transformation");
  if (transformation == "sparsemax")
    config.layer_transformation = LayerTransformation::sparsemax;
  else if (transformation != "softmax")
    fields.refuse("layer_transformation", "\"softmax\" or \"sparsemax\"");
  const Json& sizes = fields.at("hidden_sizes");
  if (!sizes.is_array() || sizes.empty() || sizes.size() > kMostHiddenSizes)
    fields.refuse("hidden_sizes", fmt::format("an array of 1 to {} integers", kMostHiddenSizes));
  for (const Json& size : sizes) config.hidden_sizes.push_back(fields.size_of("hidden_sizes", size, 1, kLargestSize));
  config.activation = activation_of(fields, "activations");
  if (!fields.at("final_activation").is_null()) config.final_activation = activation_of(fields, "final_activation");
  config.encoder = parse_encoder(fields.at("encoder"), where + ": encoder");
  return config;
}

CometConfig read_comet_config(const std::filesystem::path& file) {
  return comet_config_from_json(parse_json(read_file(file), file.string()), file.string());
}

}  // namespace templora
