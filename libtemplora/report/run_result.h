#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cost/run_cost.h"
#include "metrics/perplexity.h"
#include "report/report_table.h"

namespace templora {

/// "Temp-LoRA changes perplexity by -9.52 %, from 20.123 to 18.207,": the head of a sentence.
std::string change_words(double change_percent, double base, double lora);

/// Its tail, on what the change stands: "over 599 tokens of one book: no interval, …", or with the mean over books and
/// its interval, `mean`, where there are enough. `row` is of all tokens.
std::string basis_words(const SegmentRow& row, const Cell& mean);

/// What a perplexity run prints at its end: a line a segment, the change in one sentence, what it took, where the rest
/// is. `cost` is none of a run that had ended before.
std::string run_result(const PerplexityTable& table, const std::optional<RunCost>& cost,
                       const std::filesystem::path& folder);

}  // namespace templora
