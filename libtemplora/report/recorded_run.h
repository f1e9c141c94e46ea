#pragma once

#include "report/run_summary.h"

namespace templora {

/// Only what run.json says of a run: its record, its settings, and whether it is finished; quick, however long the run
/// was. Throws Error(bad_input) for a folder that is no run.
RunSummary read_run_record(const RunSource& source);

}  // namespace templora
