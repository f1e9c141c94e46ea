#include "metrics/model_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

#include "core/file.h"
#include "core/json.h"

namespace templora {
namespace {

constexpr std::int64_t kLargestSize = std::int64_t{1} << 28;

std::int64_t size_of(const Json& json, const std::string& where, const char* field, std::optional<std::int64_t> fallback = {}) {
  const auto found = json.find(field);
  if (found == json.end() || found->is_null()) {
    if (fallback) return *fallback;
    throw Error(Exit::bad_input, fmt::format("{}: {}: got nothing, wanted a positive integer; is this the config.json of a "
                                             "Llama-family model?", where, field));
  }
  if (!found->is_number_integer() || found->get<double>() < 1 || found->get<double>() > double(kLargestSize))
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted an integer from 1 to {}", where, field, dump_json(*found, where),
                                             kLargestSize));
  return found->get<std::int64_t>();
}

bool flag_of(const Json& json, const std::string& where, const char* field) {
  const auto found = json.find(field);
  if (found == json.end() || found->is_null()) return false;
  if (!found->is_boolean())
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted true or false", where, field, dump_json(*found, where)));
  return found->get<bool>();
}

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

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const std::string where = file.string();
  const Json json = parse_json(read_file(file), where);
  if (!json.is_object()) throw Error(Exit::bad_input, fmt::format("{}: not a JSON object", where));
  const bool mistral = json.value("model_type", Json()) == "mistral";
  ModelShape shape;
  shape.name = folder.filename().string();
  shape.vocab = size_of(json, where, "vocab_size");
  shape.hidden = size_of(json, where, "hidden_size");
  shape.ffn = size_of(json, where, "intermediate_size");
  shape.layers = size_of(json, where, "num_hidden_layers");
  shape.heads = size_of(json, where, "num_attention_heads");
  const bool no_kv = mistral && !json.contains("num_key_value_heads");
  shape.kv_heads = size_of(json, where, "num_key_value_heads", no_kv ? 8 : shape.heads);
  shape.head_dim = size_of(json, where, "head_dim", std::max<std::int64_t>(1, shape.hidden / shape.heads));
  shape.max_positions = size_of(json, where, "max_position_embeddings", mistral ? 131072 : 2048);
  shape.attention_bias = flag_of(json, where, "attention_bias");
  shape.mlp_bias = flag_of(json, where, "mlp_bias");
  shape.tied_embeddings = flag_of(json, where, "tie_word_embeddings");
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
