#pragma once

#include <functional>
#include <string>

#include "config/config.h"

namespace templora {

/// What is read of a tokenizer's folder, where it is there.
inline constexpr const char* kTokenizerFiles[] = {"tokenizer.model", "tokenizer_config.json", "special_tokens_map.json",
                                                  "added_tokens.json", "tokenizer.json"};

/// How the inputs that a config names are hashed. Each gets an absolute path as LoadedConfig::config has it.
struct InputHashes {
  std::function<std::string(const std::string& folder)> model;      ///< a model folder's config.json and weights
  std::function<std::string(const std::string& path)> tokenizer;    ///< a tokenizer.model or the folder that holds one
  std::function<std::string(const std::string& pattern)> texts;     ///< a text, or the texts of a glob, in order
  std::function<std::string(const std::string& path)> path;         ///< any other file or folder
};

/// 0.1 took score.segment_edges in, which no NLL depends on. At their default both forms are the same.
enum class HashForm { present, of_0_1 };

/// 32 hex digits of all that decides a run's numbers and is known before it starts: the settings that
/// LoadedConfig::hash is made of, a pretraining's length, and what the inputs hold instead of where they lie. What
/// changes no number (notes, segment edges, how often a state is saved, folders that keep work between runs) has no
/// part in it. Throws what the hashes throw.
std::string input_hash(Config config, const InputHashes& hashes, HashForm form = HashForm::present);

/// Throws Error(bad_input) with a line for each model folder, text, tokenizer or other input that the run wants and
/// that is not there, Error(usage) where the model has not what lora.targets or lora.layers wants.
void require_inputs(const LoadedConfig& loaded);

/// Throws Error(usage) where `key` ("train.epochs") names no field of a config; the nearest known key is named. `where`
/// is what the message begins with.
void require_config_key(const std::string& key, const std::string& where);

/// Every key with the value it has where a file does not name it; null where a rule or nothing fills it.
Json config_defaults();

}  // namespace templora
