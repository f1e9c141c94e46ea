#include "run/model_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/file.h"

namespace templora {
namespace {

// Sizes as the publishers' config.json files have them.
const std::vector<ModelShape>& known_shapes() {
  static const std::vector<ModelShape> shapes{
      {"llama2-7b", 32000, 4096, 11008, 32, 32, 32, 128, 4096, false, false, false},
      {"llama2-13b", 32000, 5120, 13824, 40, 40, 40, 128, 4096, false, false, false},
      {"yi-6b", 64000, 4096, 11008, 32, 32, 4, 128, 4096, false, false, false}};
  return shapes;
}

}  // namespace

double ModelShape::parameters() const {
  const double h = double(hidden), f = double(ffn), q = double(heads * head_dim), kv = double(kv_heads * head_dim);
  double layer = h * (q + 2 * kv) + q * h + 3 * h * f + 2 * h;
  if (attention_bias) layer += q + 2 * kv + h;
  if (mlp_bias) layer += 2 * f + h;
  return double(layers) * layer + h + double(vocab) * h * (tied_embeddings ? 1 : 2);
}

ModelShape model_shape_of(const JsonFields& fields) {
  const bool mistral = fields.raw("model_type") == "mistral";
  ModelShape shape;
  shape.vocab = fields.size("vocab_size");
  shape.hidden = fields.size("hidden_size");
  shape.ffn = fields.size("intermediate_size");
  shape.layers = fields.size("num_hidden_layers", {}, 1, JsonFields::kMostLayers);
  shape.heads = fields.size("num_attention_heads");
  shape.kv_heads = fields.size("num_key_value_heads", mistral && !fields.contains("num_key_value_heads") ? 8 : shape.heads);
  shape.head_dim = fields.size("head_dim", std::max<std::int64_t>(1, shape.hidden / shape.heads));
  if (shape.heads * shape.head_dim > JsonFields::kLargestSize)
    fields.refuse("head_dim", fmt::format("{}", shape.head_dim), fmt::format("num_attention_heads * head_dim of at most {}", JsonFields::kLargestSize));
  shape.max_positions = fields.size("max_position_embeddings", mistral ? 131072 : 2048);
  shape.attention_bias = fields.boolean("attention_bias", false);
  shape.mlp_bias = fields.boolean("mlp_bias", false);
  shape.tied_embeddings = fields.boolean("tie_word_embeddings", false);
  return shape;
}

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const Json json = parse_json(read_file(file), file.string());
  ModelShape shape = model_shape_of({json, file.string(), kModelAdvice});
  shape.name = folder.filename().string();
  return shape;
}

ModelShape named_model_shape(const std::string& name, const std::string& where) {
  for (const ModelShape& shape : known_shapes())
    if (shape.name == name) return shape;
  throw Error(Exit::usage, fmt::format("{}: got \"{}\", wanted one of {}, or a model folder with a config.json in the config's "
                                       "model.path", where, printable(name), fmt::join(model_shape_names(), ", ")));
}

std::vector<std::string> model_shape_names() {
  std::vector<std::string> names;
  for (const ModelShape& shape : known_shapes()) names.push_back(shape.name);
  return names;
}

}  // namespace templora
