#include "comet/comet_config.h"

#include <fmt/format.h>

#include <cmath>

#include "core/file.h"

namespace templora {
namespace {

// Sizes above these are refused before anything is allocated or multiplied.
constexpr std::int64_t kLargestSize = std::int64_t{1} << 24;
constexpr std::int64_t kLargestLayers = 4096;
constexpr std::size_t kMostHiddenSizes = 64;

class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {
    if (!json.is_object()) throw Error(Exit::bad_input, fmt::format("{}: not a JSON object", where_));
  }

  [[noreturn]] void refuse(const char* field, const std::string& got, const std::string& wanted) const {
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted {}", where_, field, printable(got), wanted));
  }

  const Json& at(const char* name) const {
    if (!json_.contains(name)) refuse(name, "nothing", "a value; make the folder with scripts/convert_comet.py");
    return json_.at(name);
  }

  std::int64_t size_of(const char* name, const Json& value, std::int64_t least, std::int64_t most) const {
    if (!value.is_number_integer() || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most)
      refuse(name, value.dump(), fmt::format("an integer from {} to {}", least, most));
    return value.get<std::int64_t>();
  }
  std::int64_t size(const char* name, std::int64_t least = 1, std::int64_t most = kLargestSize) const {
    return size_of(name, at(name), least, most);
  }

  /// The field must be exactly this: the one setting that is computed here.
  void must_be(const char* name, const Json& wanted) const {
    if (at(name) != wanted) refuse(name, at(name).dump(), wanted.dump() + ": no other setting is supported");
  }

 private:
  const Json& json_;
  std::string where_;
};

Activation activation_of(const Fields& fields, const char* name) {
  const Json& value = fields.at(name);
  if (value == "Tanh") return Activation::tanh;
  if (value == "Sigmoid") return Activation::sigmoid;
  if (value == "Softsign") return Activation::softsign;
  fields.refuse(name, value.dump(), "\"Tanh\", \"Sigmoid\" or \"Softsign\"");
}

XlmrConfig parse_encoder(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  fields.must_be("model_type", "xlm-roberta");
  fields.must_be("hidden_act", "gelu");
  fields.must_be("position_embedding_type", "absolute");
  fields.must_be("pad_token_id", 1);
  XlmrConfig config;
  config.vocab_size = fields.size("vocab_size");
  config.hidden_size = fields.size("hidden_size");
  config.ffn_size = fields.size("intermediate_size");
  config.layers = fields.size("num_hidden_layers", 1, kLargestLayers);
  config.heads = fields.size("num_attention_heads");
  if (config.hidden_size % config.heads != 0)
    fields.refuse("hidden_size", fmt::format("{}", config.hidden_size),
                  fmt::format("a multiple of num_attention_heads {}", config.heads));
  config.max_positions = fields.size("max_position_embeddings", 6);
  config.type_vocab_size = fields.size("type_vocab_size");
  const Json& eps = fields.at("layer_norm_eps");
  if (!eps.is_number() || !std::isfinite(eps.get<double>()) || eps.get<double>() <= 0)
    fields.refuse("layer_norm_eps", eps.dump(), "a number above 0");
  config.layer_norm_eps = eps.get<double>();
  return config;
}

}  // namespace

CometConfig comet_config_from_json(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  fields.must_be("class_identifier", "regression_metric");
  fields.must_be("pool", "avg");
  fields.must_be("layer", "mix");
  fields.must_be("layer_norm", false);
  CometConfig config;
  const Json& transformation = fields.at("layer_transformation");
  if (transformation == "sparsemax")
    config.layer_transformation = LayerTransformation::sparsemax;
  else if (transformation != "softmax")
    fields.refuse("layer_transformation", transformation.dump(), "\"softmax\" or \"sparsemax\"");
  const Json& sizes = fields.at("hidden_sizes");
  if (!sizes.is_array() || sizes.empty() || sizes.size() > kMostHiddenSizes)
    fields.refuse("hidden_sizes", sizes.dump(), fmt::format("an array of 1 to {} integers", kMostHiddenSizes));
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
