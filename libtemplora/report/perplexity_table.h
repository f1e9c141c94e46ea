#pragma once

#include <string>

#include "metrics/perplexity.h"

namespace templora {

/// The table as Markdown: all books together, then each book, then what was left out and why.
std::string perplexity_markdown(const PerplexityTable& table, const Json& run_record);

}  // namespace templora
