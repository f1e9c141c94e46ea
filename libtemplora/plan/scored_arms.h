#pragma once

#include <vector>

#include "config/config.h"
#include "run/record.h"

namespace templora {

/// Whose NLLs a perplexity run has, in the order of kArms.
std::vector<Arm> scored_arms(const Config& config);

}  // namespace templora
