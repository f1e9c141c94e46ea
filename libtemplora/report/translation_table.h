#pragma once

#include <string>

#include "metrics/translation.h"

namespace templora {

/// The table as Markdown: all novels together, then each.
std::string translation_markdown(const TranslationTable& table, const Json& run_record);

}  // namespace templora
