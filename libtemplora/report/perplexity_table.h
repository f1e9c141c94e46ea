#pragma once

#include <string>
#include <vector>

#include "metrics/perplexity.h"

namespace templora {

/// The table as Markdown: all books together, then each book, then what was left out and why.
std::string perplexity_markdown(const PerplexityTable& table, const Json& run_record);

/// The rows that a table prints: segments that no book reaches are left out.
std::vector<SegmentRow> printed_rows(const PerplexityTable& table);

/// Number of books, marked where they are too few to speak for others.
std::string book_count(const SegmentRow& row);

}  // namespace templora
