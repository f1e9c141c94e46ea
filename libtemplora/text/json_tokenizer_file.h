#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "text/added_vocabulary.h"
#include "text/bpe_model.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/token_decoder.h"

namespace templora {

/// What a tokenizer.json holds.
struct JsonTokenizerFile {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  ///< pieces as written there, by ascending id
  std::vector<std::pair<std::string, std::string>> merges;       ///< as written there
  BpeSettings model;
  std::vector<JsonAddedToken> added;
  std::vector<std::int64_t> added_ids;  ///< that the file claims for them
  std::vector<NormalizerStep> normalizer;
  std::vector<PreTokenizerStep> pre_tokenizer;
  std::vector<DecoderStep> decoder;
  std::vector<std::int64_t> before, after;  ///< what the template puts around a text
  bool has_post_processor = false;
  std::string meaning;  ///< normalizer and pre-tokenizer in one form, for a hash
};

/// Reads a parsed tokenizer.json. Throws Error(bad_input) naming the field; parts of a kind that is not known are
/// refused by name. `where` names the file.
JsonTokenizerFile read_json_tokenizer(const Json& json, const std::string& where);

}  // namespace templora
