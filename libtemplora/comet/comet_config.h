#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

/// Sizes of an XLM-R encoder; the keys are those of its Hugging Face config.json.
struct XlmrConfig {
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t ffn_size = 0;        ///< intermediate_size
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t max_positions = 0;  ///< max_position_embeddings: rows of the table, two of which stand before position 0
  std::int64_t type_vocab_size = 0;
  double layer_norm_eps = 0;

  /// Longest input, <s> and </s> included: unbabel-comet cuts at max_position_embeddings - 2 - 2 (510 of 514).
  std::int64_t max_tokens() const { return max_positions - 4; }
};

/// How the weights of the layers come from their scalars.
enum class LayerTransformation { softmax, sparsemax };

/// An estimator's activation; the names in files are torch's classes.
enum class Activation { tanh, sigmoid, softsign };

/// What config.json of a converted COMET folder says.
struct CometConfig {
  XlmrConfig encoder;
  LayerTransformation layer_transformation = LayerTransformation::softmax;
  std::vector<std::int64_t> hidden_sizes;  ///< of the estimator
  Activation activation = Activation::tanh;
  std::optional<Activation> final_activation;
};

/// Reads the config.json that scripts/convert_comet.py writes. Whatever this code does not compute (another
/// pooling, a single layer, a layer norm in the mix, another encoder or kind of metric) is refused by name.
/// Throws Error(bad_input) naming file, field, got and wanted.
CometConfig read_comet_config(const std::filesystem::path& file);

/// The same from parsed JSON; `where` names the source in messages.
CometConfig comet_config_from_json(const Json& json, const std::string& where);

}  // namespace templora
