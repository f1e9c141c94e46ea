#pragma once

#include <string>
#include <vector>

#include "report/run_summary.h"

namespace templora {

/// The runs behind folders on a command line, each a run's or a sweep's. What of a sweep was not started is told in
/// `remarks`. Throws Error(bad_input) naming what is no folder, and a sweep of which nothing was started; whether a
/// folder holds a run is for the reader to find out.
std::vector<RunSource> sources_of(const std::vector<std::string>& folders, std::vector<std::string>& remarks);

/// Every run in these folders and below, each once, in the order of their names: runs, cells of sweeps wherever their
/// store is, and links to either. Damaged sweeps, and those whose store is away, are told in `remarks`. Throws
/// Error(bad_input) naming what is no folder.
std::vector<RunSource> find_runs(const std::vector<std::string>& folders, std::vector<std::string>& remarks);

}  // namespace templora
