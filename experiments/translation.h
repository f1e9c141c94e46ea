#pragma once

#include <filesystem>

#include "config/config.h"

namespace templora {

/// Runs the translation experiment: every novel's chunks are translated and scored by the base and by Temp-LoRA in
/// turn. Writes the run folder `path` and prints the table. Throws Error(interrupted) after a signal, with the state
/// saved.
void run_translation(const LoadedConfig& config, const std::filesystem::path& path, bool resume);

}  // namespace templora
