#pragma once

#include <string>

#include "core/file.h"
#include "sweep/sweep_file.h"

namespace templora {

/// The batch script of a job array whose tasks work on a sweep's folder: each claims cells until none is left. SIGTERM
/// and SIGUSR1 reach the program, which saves and ends with 75; the task then has itself put back into the queue, unless
/// it was cancelled. `program` is templora's own path.
std::string slurm_script(const SweepFile& sweep, const fs::path& program);

/// Writes slurm.sh into the sweep's folder and submits it with sbatch. → the job's number.
/// Throws Error(resources) where sbatch is not there or refuses, with what it said.
std::string submit_to_slurm(const SweepFile& sweep, const fs::path& program);

}  // namespace templora
