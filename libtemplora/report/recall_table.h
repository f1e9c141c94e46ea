#pragma once

#include <string>
#include <vector>

#include "metrics/recall.h"
#include "report/report_table.h"
#include "report/run_summary.h"

namespace templora {

/// recall.md: what was recalled, by distance and rung. `run_record` is run.json.
std::string recall_markdown(const RecallTable& table, const Json& run_record);

/// The tables of a report: of each run that planted facts, and of several with the same settings together. None where
/// no run did. Throws Error(bad_input) for damaged records.
std::vector<ReportTable> recall_tables(const std::vector<RunSummary>& runs);

}  // namespace templora
