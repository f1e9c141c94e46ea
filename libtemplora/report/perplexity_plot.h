#pragma once

#include <string>

#include "run/run_data.h"

namespace templora {

/// Perplexity against position in the book as a stand-alone SVG: position_curves() of the run, one line a arm.
/// Light or dark as the reader's system is.
std::string perplexity_svg(const RunData& run);

}  // namespace templora
