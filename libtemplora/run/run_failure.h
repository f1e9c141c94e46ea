#pragma once

#include <optional>
#include <string>

#include "core/file.h"

namespace templora {

/// Why a run ended without a result, as a file says it: failed.json in its folder, or KEY.failed.json beside a cell's.
struct RunFailure {
  int exit_code = 1;   ///< of the program, 1 to 127; 1 where a signal ended it, or it ended well without a result
  int signal = 0;      ///< that ended it, if one did
  std::string line;    ///< the error, or the last line of its log
};

/// None where there is no such file. One that cannot be read counts as a failure that says so.
std::optional<RunFailure> read_failure_file(const fs::path& file);
/// Throws Error(resources).
void write_failure_file(const fs::path& file, const RunFailure& failure);

/// failed.json of a run's folder, whose run said itself why it ended; the next one that goes on there removes it.
fs::path run_failure_file(const fs::path& run);

/// Notes why the run in this folder ended here. Nothing is written where there is no run, a finished one, or one that
/// another process works on, nor where the disk refuses: the error itself is what counts.
void note_failure(const fs::path& run, int exit_code, const std::string& line);

}  // namespace templora
