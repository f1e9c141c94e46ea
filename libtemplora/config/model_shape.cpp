#include "config/model_shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "config/model_family.h"
#include "config/model_name.h"
#include "core/file.h"

namespace templora {
namespace {

// Sizes as the publishers' config.json files have them.
const std::vector<ModelShape>& known_shapes() {
  static const std::vector<ModelShape> shapes{
      {"llama2-7b", 32000, 4096, 11008, 32, 32, 32, 128, 4096, false, {}},
      {"llama2-13b", 32000, 5120, 13824, 40, 40, 40, 128, 4096, false, {}},
      {"yi-6b", 64000, 4096, 11008, 32, 32, 4, 128, 4096, false, {}}};
  return shapes;
}

}  // namespace

double ModelShape::parameters() const {
  const double h = double(hidden), f = double(ffn), q = double(heads * head_dim), kv = double(kv_heads * head_dim);
  double sum = h + double(vocab) * h * (tied_embeddings ? 1 : 2);
  for (std::int64_t i = 0; i < layers; ++i) {
    const LayerSpec spec = layer(i);
    sum += h * (q + 2 * kv) + q * h + 3 * h * f + 2 * h;
    if (spec.qkv_bias) sum += q + 2 * kv;
    if (spec.out_bias) sum += h;
    if (spec.mlp_bias) sum += 2 * f + h;
    if (spec.qk_norm == LayerSpec::QkNorm::head) sum += 2 * double(head_dim);
    if (spec.qk_norm == LayerSpec::QkNorm::projection) sum += q + kv;
  }
  return sum;
}

std::int64_t logit_block_rows(std::int64_t vocab) {
  constexpr std::int64_t kNumbers = std::int64_t{1} << 24;  // 64 MB in float32
  return std::clamp<std::int64_t>(kNumbers / vocab, 64, 512);
}

ModelShape model_shape_of(const JsonFields& fields) {
  const ModelFamily& family = model_family(fields);
  ModelShape shape;
  shape.vocab = fields.size("vocab_size");
  shape.hidden = fields.size("hidden_size");
  shape.ffn = fields.size("intermediate_size");
  shape.layers = fields.size("num_hidden_layers", {}, 1, JsonFields::kMostLayers);
  shape.heads = fields.size("num_attention_heads");
  const bool own_kv_heads = family.kv_heads > 0 && !fields.contains("num_key_value_heads");
  shape.kv_heads = fields.size("num_key_value_heads", own_kv_heads ? family.kv_heads : shape.heads);
  const std::int64_t head_dim = family.head_dim > 0 ? family.head_dim : shape.hidden / shape.heads;
  shape.head_dim = fields.size("head_dim", std::max<std::int64_t>(1, head_dim));
  if (shape.heads * shape.head_dim > JsonFields::kLargestSize)
    fields.refuse("head_dim", fmt::format("{}", shape.head_dim),
                  fmt::format("num_attention_heads * head_dim of at most {}", JsonFields::kLargestSize));
  shape.max_positions = fields.size("max_position_embeddings", family.max_positions);
  shape.tied_embeddings = fields.boolean("tie_word_embeddings", family.tied_embeddings);
  shape.layer_specs = read_layer_specs(fields, family, shape.layers);
  return shape;
}

ModelShape read_model_shape(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  const Json json = parse_foreign_json(read_file(file), file.string());
  ModelShape shape = model_shape_of({json, file.string(), kModelAdvice});
  shape.name = model_name(folder.string());
  return shape;
}

ModelShape named_model_shape(const std::string& name, const std::string& where) {
  for (const ModelShape& shape : known_shapes())
    if (shape.name == name) return shape;
  throw Error(Exit::usage,
              fmt::format("{}: got \"{}\", wanted one of {}, or a model folder with a config.json in the config's "
                          "model.path",
                          where, printable(name), fmt::join(model_shape_names(), ", ")));
}

std::vector<std::string> model_shape_names() {
  std::vector<std::string> names;
  for (const ModelShape& shape : known_shapes()) names.push_back(shape.name);
  return names;
}

}  // namespace templora
