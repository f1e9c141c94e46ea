#pragma once

#include <cstdint>
#include <string>

#include "core/file.h"
#include "sweep/sweep_file.h"

namespace templora {

struct WorkOptions {
  fs::path program;           ///< templora, which runs one cell at a time
  std::int64_t workers = 1;   ///< cells at once
  bool wait = true;           ///< also wait for cells that others work on; false: end where nothing is left to take
  double patience_s = 120;    ///< a claim of another machine whose counter stands still for so long is given up on
};

struct WorkResult {
  std::int64_t finished_here = 0;
  std::int64_t done = 0, failed = 0, left = 0;  ///< of all cells, by key; left: others work on them
  int exit_code = 0;                            ///< of the first failed cell in the sweep's order; 0 where none failed
};

/// Runs every cell that is neither done nor failed, largest first, `workers` at a time, each as a child process
/// `templora run KEY.json --resume --out KEY` that dies with this one. A child that a signal killed is started again,
/// at most twice. After SIGTERM, SIGINT, SIGHUP or SIGUSR1 the children are stopped with their state saved. Throws
/// Error(interrupted) then, Error(bad_input) where an input changed, Error(resources) where the store cannot be
/// written.
WorkResult work_on(const SweepFile& sweep, const WorkOptions& options);

}  // namespace templora
