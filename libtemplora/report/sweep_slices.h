#pragma once

#include <string>
#include <vector>

#include "report/report.h"

namespace templora {

/// A sweep's cells over one or two axes, all other axes held: a table, and a heat map where there are two.
struct SweepSlice {
  std::string experiment;
  Keys fixed;                              ///< the other axes' values
  std::string row_key, column_key;         ///< column_key is empty for a single axis
  std::string value;                       ///< name of the measure in `cells`
  std::vector<std::string> rows, columns;  ///< values of the axes, numbers in their order
  std::vector<std::vector<Cell>> cells;    ///< [row][column]; no value where no run was
};

/// The slices of all experiments among the runs. Axes are the swept keys, or for runs outside a sweep the settings
/// that differ; "W" is an axis wherever windows are, and is taken for window.context_tokens where it has no more
/// values than that. An axis that follows from the two of the table holds no slices apart.
/// Throws Error(usage) for an axis or value that these runs do not have, naming the nearest.
std::vector<SweepSlice> sweep_slices(const std::vector<RunSummary>& runs, const ReportOptions& options);

/// A slice as a table; a single axis gets a column for each of base, lora, change and seconds that the runs have.
ReportTable sweep_table(const SweepSlice& slice, const std::vector<RunSummary>& runs, std::size_t number);

/// "{:+.2f}" and the like for a measure, and its name for readers: "change of PPL [%]".
const char* measure_format(const std::string& measure);
std::string measure_title(const std::string& measure);

}  // namespace templora
