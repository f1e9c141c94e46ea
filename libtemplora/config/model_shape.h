#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "config/layer_spec.h"
#include "core/json_fields.h"

namespace templora {

/// The sizes of a decoder and what its layers do: all that its cost depends on. Read without the rest of the model, so
/// that a cost can be told where no weights are.
struct ModelShape {
  std::string name;
  std::int64_t vocab = 0;
  std::int64_t hidden = 0;
  std::int64_t ffn = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_positions = 0;
  bool tied_embeddings = false;
  std::vector<LayerSpec> layer_specs;  ///< one a layer; empty: Llama's

  /// All weights, the embedding and, where it is not tied, the output projection included.
  double parameters() const;
  LayerSpec layer(std::int64_t index) const {
    return layer_specs.empty() ? LayerSpec{} : layer_specs.at(std::size_t(index));
  }
};

/// Rows of logits that are computed at once, so that those of all rows, the largest tensor there is, need not be there:
/// at most 512, and fewer where the vocabulary is large.
std::int64_t logit_block_rows(std::int64_t vocab);

/// What ends the line about a field that a config.json lacks.
inline constexpr const char* kModelAdvice = "is this the config.json of a language model of these families?";

/// The sizes that a config.json gives, with transformers' defaults for its family; no name. Throws Error(bad_input)
/// naming the field; a model_type that is not known too.
ModelShape model_shape_of(const JsonFields& fields);

/// Reads the sizes from the config.json of a Hugging Face folder. Whether the rest of it can be computed is for
/// read_llama_config to say. Throws Error(bad_input) naming file, field, got and wanted; a folder without
/// config.json too.
ModelShape read_model_shape(const std::filesystem::path& folder);

/// A shape by name: "llama2-7b", "llama2-13b", "yi-6b", as their publishers' config.json gives it.
/// Throws Error(usage) that lists the names; `where` says whose value it is.
ModelShape named_model_shape(const std::string& name, const std::string& where = "--shape");
std::vector<std::string> model_shape_names();

}  // namespace templora
