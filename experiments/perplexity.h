#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"
#include "experiment/controls.h"
#include "text/books.h"

namespace templora {

struct RunPlace;

/// The main job: books stream through the model chunk by chunk, each scored with and without a temporary
/// adapter that is trained as it goes; ends with the paper's PG-19 table in the place's folder (docs/formats.md).
/// Where the place says so, goes on where a stopped run of the same config left off; on the CPU the result is
/// bit-identical to an uninterrupted run.
/// Throws Error: usage, bad_input, resources, numerics; interrupted once a signal came and the state is saved.
void run_perplexity(const LoadedConfig& config, const RunPlace& place);

/// What the controls of a run learn while book `index` is read. Throws Error(usage) as control_segments() does.
ControlSegments run_segments(const Config& config, const std::vector<Book>& books,
                             const std::vector<Book>& control_books, std::int64_t index);

}  // namespace templora
