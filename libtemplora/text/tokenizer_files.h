#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/added_tokens.h"

namespace templora {

/// A special token as a file gives it. Bare text (`plain`) leaves the rules of an added token of the same
/// content alone; an object replaces them.
struct SpecialToken {
  AddedToken token;
  bool plain = false;
};

/// What the JSON files beside a tokenizer.model say, with LlamaTokenizer's defaults where they are silent.
struct TokenizerSettings {
  bool legacy = true;
  bool add_prefix_space = true;
  bool add_bos = true;
  bool add_eos = false;
  bool clean_up_spaces = false;
  bool split_special_tokens = false;
  std::optional<std::string> bos, eos, unk;

  std::map<std::int64_t, AddedToken> added;  ///< by id, as listed in the files
  std::vector<SpecialToken> special;         ///< in the order in which the reference adds them
  std::vector<std::string> additional;       ///< contents of additional_special_tokens
};

/// Reads tokenizer_config.json, special_tokens_map.json, added_tokens.json and tokenizer.json's added tokens
/// of `folder` with the precedence of transformers 4.57: `added_tokens_decoder` silences the other three.
/// Missing files are no error. Throws Error(bad_input) naming file and field.
TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder);

/// The settings of a bare tokenizer.model.
TokenizerSettings default_tokenizer_settings();

}  // namespace templora
