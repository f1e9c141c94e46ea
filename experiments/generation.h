#pragma once

#include <filesystem>

#include "config/config.h"

namespace templora {

/// Writes a text with an adapter that learns what it wrote; the text goes to standard output as it is made. Run folder:
/// run.json, chunks.jsonl (GenerationRecord), text.txt, table.md, summary.json; snapshots/ where asked for. Throws
/// Error.
void run_generation(const LoadedConfig& loaded, const std::filesystem::path& folder, bool resume);

}  // namespace templora
