#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/json.h"

namespace templora {

/// Every key of a config ("train.epochs") in file order, with the JSON Schema of its values.
std::vector<std::pair<std::string, Json>> config_key_schemas();

}  // namespace templora
