#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "config/config_inputs.h"
#include "core/file.h"
#include "core/json.h"

namespace templora {

/// The files that cells read, each hashed once a process while its size and modification time stay.
class InputFiles {
 public:
  /// Throws Error(bad_input) where the file cannot be read.
  std::string hash_of(const fs::path& file);

  /// Hash of a cell: 20 hex digits of everything that decides its numbers and is known before it starts, the settings
  /// and the contents of the model, tokenizer, texts and other inputs, wherever they lie (config/config_inputs.h).
  /// Throws Error(bad_input) naming a file that is missing.
  std::string cell_key(const Config& config, HashForm form = HashForm::present);

  /// Files seen so far: {path: {"bytes", "mtime_ns", "hash"}}.
  Json to_json() const;

 private:
  struct File {
    std::int64_t bytes = 0, mtime_ns = 0;
    std::string hash;
  };
  std::string folder_hash(const fs::path& folder);
  std::string model_hash(const fs::path& folder);
  std::string tokenizer_hash(const fs::path& path);
  std::string texts_hash(const std::string& pattern);

  std::map<std::string, File> files_;
  std::map<std::string, std::string> known_;  // of folders and patterns

  friend class InputGuard;
};

/// Says whether inputs are still what they were when a sweep's keys were made, by size and time; where these differ, by
/// content.
class InputGuard {
 public:
  /// `recorded` is InputFiles::to_json(); `where` names its file.
  InputGuard(const Json& recorded, const std::string& where);
  /// Throws Error(bad_input) naming the first file that has changed.
  void check();

 private:
  std::map<std::string, InputFiles::File> files_;
};

}  // namespace templora
