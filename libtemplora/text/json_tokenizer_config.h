#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "text/added_vocabulary.h"

namespace templora {

/// What the files beside a tokenizer.json add to it.
struct JsonTokenizerConfig {
  std::vector<JsonAddedToken> added;  ///< tokens that the tokenizer.json lacks, in the order in which they are numbered
  std::optional<std::string> bos, eos;
  bool split_special_tokens = false;
  std::optional<bool> add_bos, add_eos;  ///< as the file says, which has no say
};

/// Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json of `folder` as transformers 5's
/// TokenizersBackend does: add_bos_token and add_eos_token have no say, since the tokenizer.json's own template has.
/// `known`: the tokenizer.json's added tokens. Missing files are no error. Throws Error(bad_input) naming file and
/// field.
JsonTokenizerConfig read_json_tokenizer_config(const std::filesystem::path& folder,
                                               const std::vector<JsonAddedToken>& known);

}  // namespace templora
