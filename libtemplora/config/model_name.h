#pragma once

#include <string>

namespace templora {

/// What a model's folder is called in tables: by its own name, or, where it is a snapshot in a hub's cache
/// (…/models--org--name/snapshots/<40 hex digits>), by its repository's: "org/name".
std::string model_name(const std::string& path);

}  // namespace templora
