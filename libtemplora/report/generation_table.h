#pragma once

#include <string>
#include <vector>

#include "core/json.h"
#include "run/record.h"

namespace templora {

/// A generation's chunks as Markdown: how well both models like what was written, and how much it repeats.
std::string generation_markdown(const std::vector<GenerationRecord>& chunks, const Json& run_record);

/// Means over all chunks, weighted with tokens, and over the first and the last quarter of them: where the text
/// drifts, they differ.
Json generation_summary(const std::vector<GenerationRecord>& chunks);

}  // namespace templora
