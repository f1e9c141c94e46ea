#pragma once

#include <optional>
#include <string>

#include "core/file.h"
#include "core/json.h"
#include "run/run_failure.h"

namespace templora {

// The files of a cell in its store, all named by its key: KEY/ is the run folder, and beside it lie
// KEY.json (the config that it is started with), KEY.log, KEY.failed.json and KEY.claims/ (sweep/claim.h).

fs::path config_file(const fs::path& folder);
fs::path log_file(const fs::path& folder);
fs::path failure_file(const fs::path& folder);
fs::path claims_folder(const fs::path& folder);

/// Whether the cell's result is there.
bool is_done(const fs::path& folder);

/// None where the cell has not failed (read_failure_file).
std::optional<RunFailure> read_failure(const fs::path& folder);
/// Throws Error(resources).
void write_failure(const fs::path& folder, const RunFailure& failure);
/// Lets a failed cell run again. A run that can never go on (its identity is another one's) is put aside under a new
/// name, so that the cell starts over; else it goes on from its last state. A cell that somebody works on is left
/// alone. Throws Error(resources).
void clear_failure(const fs::path& folder);

/// Last line of a log that is not blank, at most 500 bytes; "" where there is none.
std::string last_line(const fs::path& log);

}  // namespace templora
