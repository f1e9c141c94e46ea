#pragma once

#include <string>
#include <vector>

#include "report/report_formats.h"

namespace templora {

/// Which words gain: of runs that kept their tokens' ids a line for each book, class of words and how long ago they
/// were last used (metrics/word_uses.h), with their number and mean NLL a word by each scorer. Throws as tokens_csv().
std::string uses_csv(const std::vector<RunSummary>& runs,
                     const std::function<TokenTexts(const RunSummary&)>& texts_of);

}  // namespace templora
