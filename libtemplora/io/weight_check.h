#pragma once

#include <functional>

#include "io/safetensors.h"

namespace templora {

/// What a network wants of a folder of weights: a floating-point tensor of this shape for each name.
using WantedTensors = std::map<std::string, std::vector<std::int64_t>>;

/// Throws Error(bad_input) naming what is missing, of another shape or dtype, or has no place, with `advice` at its
/// end. Tensors that `is_redundant` says to be so may lie there unread.
void check_weights(const SafetensorsFiles& files, const WantedTensors& wanted, const std::string& advice,
                   const std::function<bool(const std::string&)>& is_redundant = {});

}  // namespace templora
