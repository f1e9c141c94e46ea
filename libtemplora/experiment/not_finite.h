#pragma once

#include <cstdint>
#include <string>

#include "config/config.h"
#include "model/llama.h"

namespace templora {

/// Why a number of a chunk is not finite and what to do, said only after it was looked at: at the base
/// model's weights, and at how many optimizer steps (`steps_before`, with this adapter) were made before it.
/// `base` is true of the base model's own numbers, which no adapter has a part in. Reads all weights: only for
/// runs that end.
std::string why_not_finite(LlamaImpl& model, const Config& config, bool base, std::int64_t steps_before);

}  // namespace templora
