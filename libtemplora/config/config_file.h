#pragma once

#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace templora {

/// What one file of a chain of `extends` says itself.
struct ConfigLayer {
  std::string where;  ///< the file, for messages
  Json json;
};

/// A config without comments, "$schema" and "extends": what it inherits is in it, and relative paths are relative to
/// the folder of the file that was asked for, however far up they were written.
struct FlatConfig {
  Json json;
  std::vector<ConfigLayer> layers;  ///< that file first

  /// The file that gives `key` its value; the first where none does.
  const std::string& source(const std::string& key) const;
};

/// Flattens what a file says: of `extends: "other.json"` (relative to the file that says it) objects merge, arrays and
/// single values replace, and null takes an inherited value away, so that the default counts again. `where` names the
/// text in messages, `folder` is its file's. Throws Error(usage) with one line: a file that cannot be read, a circle
/// (its files are named), a comment that never ends.
FlatConfig flat_config(const std::string& text, const std::string& where, const fs::path& folder);
FlatConfig flat_config(Json json, const std::string& where, const fs::path& folder);
FlatConfig read_flat_config(const fs::path& file);

/// A path as a config in folder `from` writes it, as one in folder `to` would; both are absolute. `repository`: it may
/// be the name of a model's repository, which stays; `pattern`: it may be a glob.
std::string moved_path(const std::string& path, bool repository, bool pattern, const fs::path& from,
                       const fs::path& to);

}  // namespace templora
