#pragma once

#include <string>

#include "run/run_folder.h"

namespace templora {

/// Perplexity against position in the book as a stand-alone SVG: one line for the base, one for Temp-LoRA, over
/// all books of a run, exp(mean NLL) in about 60 bins of equal width. Light or dark as the reader's system is.
std::string perplexity_svg(const RunData& run);

}  // namespace templora
