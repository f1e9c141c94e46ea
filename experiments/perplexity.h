#pragma once

#include <filesystem>

#include "run/config.h"

namespace templora {

/// The main job: books stream through the model chunk by chunk, each scored with and without a temporary
/// module that is trained as it goes; ends with the paper's PG-19 table in `folder` (docs/formats.md).
/// With `resume`, goes on where a stopped run of the same config left off; on the CPU the result is
/// bit-identical to an uninterrupted run.
/// Throws Error: usage, bad_input, resources, numerics; interrupted once a signal came and the state is saved.
void run_perplexity(const LoadedConfig& config, const std::filesystem::path& folder, bool resume);

}  // namespace templora
