#pragma once

#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

/// JSON Schema (2020-12) of a sweep file (docs/sweeps.md).
Json sweep_schema();

/// The keys that a sweep file may have, but for the editor's "$schema".
std::vector<std::string> sweep_file_keys();

}  // namespace templora
