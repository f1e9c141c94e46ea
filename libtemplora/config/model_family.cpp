#include "config/model_family.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <optional>

namespace templora {
namespace {

using QkNorm = LayerSpec::QkNorm;
using Sliding = ModelFamily::Windows;

constexpr std::int64_t kDefaultWindow = 4096;  // sliding_window where it is absent

// As transformers 5.24 has them (models/<model_type>/configuration_<model_type>.py).
const std::vector<ModelFamily>& families() {
  static const std::vector<ModelFamily> all{
      {.model_type = "llama", .attention_bias_key = true, .mlp_bias_key = true, .layer = {}},
      {.model_type = "mistral",
       .kv_heads = 8,
       .max_positions = 131072,
       .windows = Sliding::all,
       .window = kDefaultWindow,
       .layer = {}},
      {.model_type = "qwen2",
       .kv_heads = 32,
       .max_positions = 32768,
       .windows = Sliding::switched,
       .window = kDefaultWindow,
       .layer = {.qkv_bias = true}},
      {.model_type = "qwen3",
       .kv_heads = 32,
       .head_dim = 128,
       .max_positions = 32768,
       .attention_bias_key = true,
       .windows = Sliding::switched,
       .window = kDefaultWindow,
       .layer = {.qk_norm = QkNorm::head}},
      {.model_type = "smollm3",
       .kv_heads = 4,
       .max_positions = 32768,
       .rope_theta = 2000000,
       .tied_embeddings = true,
       .attention_bias_key = true,
       .mlp_bias_key = true,
       .no_rope_keys = true,
       .windows = Sliding::switched,
       .layer = {}},
      {.model_type = "olmo2",
       .rms_norm_eps = 1e-5,
       .attention_bias_key = true,
       .layer = {.qk_norm = QkNorm::projection, .norm_after = true}},
      {.model_type = "olmo3",
       .rms_norm_eps = 1e-5,
       .rope_theta = 500000,
       .attention_bias_key = true,
       .windows = Sliding::by_type,
       .window = kDefaultWindow,
       .layer = {.qk_norm = QkNorm::projection, .norm_after = true}},
      {.model_type = "phi3",
       .max_positions = 4096,
       .rms_norm_eps = 1e-5,
       .windows = Sliding::all,
       .layer = {.fused_names = true}}};
  return all;
}

// What layer_types says of each layer: whether it slides; none where the key is absent.
std::optional<std::vector<bool>> read_layer_types(const JsonFields& fields, std::int64_t layers) {
  if (!fields.has("layer_types")) return {};
  const Json& types = fields.raw("layer_types");
  if (!types.is_array() || std::int64_t(types.size()) != layers)
    fields.refuse("layer_types", types.is_array() ? fmt::format("{} entries", types.size()) : shown_json(types),
                  fmt::format("one for each of num_hidden_layers {}", layers));
  std::vector<bool> slides;
  for (const Json& type : types) {
    if (type != "full_attention" && type != "sliding_attention")
      fields.refuse("layer_types", shown_json(type),
                    "\"full_attention\" or \"sliding_attention\": no other kind is supported");
    slides.push_back(type == "sliding_attention");
  }
  return slides;
}

// Which layers turn their queries and keys: those with a 1 in no_rope_layers.
std::vector<bool> read_rotations(const JsonFields& fields, std::int64_t layers) {
  std::vector<bool> turns;
  if (fields.has("no_rope_layers")) {
    const Json& list = fields.raw("no_rope_layers");
    if (!list.is_array() || std::int64_t(list.size()) < layers)
      fields.refuse("no_rope_layers", list.is_array() ? fmt::format("{} entries", list.size()) : shown_json(list),
                    fmt::format("at least one for each of num_hidden_layers {}", layers));
    for (std::int64_t i = 0; i < layers; ++i)
      turns.push_back(fields.size_of("no_rope_layers", list[std::size_t(i)], 0, 1) == 1);
    return turns;
  }
  const std::int64_t interval = fields.size("no_rope_layer_interval", 4);
  for (std::int64_t i = 0; i < layers; ++i) turns.push_back((i + 1) % interval != 0);
  return turns;
}

// What holds without layer_types: which layers slide, if the model has a window at all.
bool slides_by_default(const JsonFields& fields, const ModelFamily& family, const LayerSpec& layer,
                       std::int64_t index) {
  if (family.windows == Sliding::by_type) return (index + 1) % 4 != 0;
  if (family.windows == Sliding::all) return true;
  if (family.no_rope_keys) return layer.rope == LayerSpec::Rope::none;
  return index >= fields.size("max_window_layers", 28, 0);
}

// Throws where layer_types and the window keys contradict each other.
void check_layer_types(const JsonFields& fields, const ModelFamily& family, const std::vector<bool>& slides,
                       bool has_window) {
  const bool any = std::count(slides.begin(), slides.end(), true) > 0;
  const bool every = std::count(slides.begin(), slides.end(), false) == 0;
  if (any && !has_window)
    fields.refuse("layer_types", "\"sliding_attention\"",
                  family.windows == Sliding::none
                      ? fmt::format("\"full_attention\": {} has no windows", family.model_type)
                  : family.windows == Sliding::switched && !fields.boolean("use_sliding_window", false)
                      ? std::string("\"full_attention\" beside use_sliding_window false; set one of the two right")
                      : std::string("\"full_attention\" beside sliding_window null; set one of the two right"));
  if (family.windows == Sliding::all && has_window && !every)
    fields.refuse(
        "layer_types", "\"full_attention\"",
        fmt::format("\"sliding_attention\" for all layers, as {} has it beside sliding_window", family.model_type));
}

}  // namespace

const ModelFamily& model_family(const JsonFields& fields) {
  const std::string model_type = fields.text("model_type", "");
  for (const ModelFamily& family : families())
    if (model_type == family.model_type) return family;
  fields.refuse("model_type", fields.has("model_type") ? "\"" + model_type + "\"" : "nothing",
                fmt::format("one of {}", fmt::join(model_types(), ", ")));
}

std::vector<std::string> model_types() {
  std::vector<std::string> names;
  for (const ModelFamily& family : families()) names.push_back(family.model_type);
  return names;
}

std::vector<LayerSpec> read_layer_specs(const JsonFields& fields, const ModelFamily& family, std::int64_t layers) {
  LayerSpec common = family.layer;
  if (family.attention_bias_key) common.qkv_bias = common.out_bias = fields.boolean("attention_bias", false);
  if (family.mlp_bias_key) common.mlp_bias = fields.boolean("mlp_bias", false);

  const bool on = family.windows != Sliding::switched || fields.boolean("use_sliding_window", false);
  std::int64_t window = 0;
  if (fields.has("sliding_window") && on)
    window = fields.size("sliding_window");
  else if (on && !fields.contains("sliding_window"))
    window = family.window;
  // transformers' cache follows a window even where the model does not: what such a file means is not to be guessed.
  if (family.windows == Sliding::none && window > 0)
    fields.refuse("sliding_window", fmt::format("null: {} has no windows", family.model_type));

  const std::optional<std::vector<bool>> types = read_layer_types(fields, layers);
  if (types) check_layer_types(fields, family, *types, window > 0);
  const std::vector<bool> turns =
      family.no_rope_keys ? read_rotations(fields, layers) : std::vector<bool>(std::size_t(layers), true);
  std::vector<LayerSpec> specs;
  for (std::int64_t i = 0; i < layers; ++i) {
    LayerSpec& layer = specs.emplace_back(common);
    if (!turns[std::size_t(i)]) layer.rope = LayerSpec::Rope::none;
    const bool slides = types ? (*types)[std::size_t(i)] : slides_by_default(fields, family, layer, i);
    if (slides && window > 0) layer.window = window;
    if (family.windows != Sliding::by_type || !slides) continue;
    if (window == 0) fields.refuse("sliding_window", "an integer: layers of the kind sliding_attention have one");
    layer.rope = LayerSpec::Rope::sliding;
  }
  return specs;
}

}  // namespace templora
