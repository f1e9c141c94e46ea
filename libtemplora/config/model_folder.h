#pragma once

#include <string>

#include "core/hub_cache.h"

namespace templora {

/// The folder that a config or an option means with `text`: a path relative to `base` that exists; else the snapshot
/// of a repository of that name; else the path again.
fs::path find_model(const std::string& text, const fs::path& base);

/// Throws Error(bad_input) where `folder` holds no config.json, with the command that gets the model where one is
/// known. `written` is how a person named it, where that is known.
void require_model_folder(const fs::path& folder, const std::string& written = "");

}  // namespace templora
