#pragma once

#include <optional>
#include <string>

#include "core/file.h"
#include "sweep/sweep_file.h"

namespace templora {

/// The batch script of a job array whose tasks work on a sweep's folder: each claims cells until none is left. SIGTERM
/// and SIGUSR1 reach the program, which saves and ends with 75; the task then has itself put back into the queue,
/// unless it was cancelled. `program` is templora's own path.
std::string slurm_script(const SweepFile& sweep, const fs::path& program);

/// A job that was queued.
struct SlurmJob {
  std::string number;
  std::string cluster;  ///< where sbatch named one
};

/// The job in what sbatch said: the last "Submitted batch job 12[ on cluster nord]", else the last line "12"
/// or "12;nord". Sites greet before it, with numbers too. None where there is no such line.
std::optional<SlurmJob> job_in_answer(const std::string& answer);

/// Writes slurm.sh into the sweep's folder and submits it with sbatch; what sbatch warns of is logged. Throws
/// Error(resources) where sbatch is not there or refuses, with all that it said.
SlurmJob submit_to_slurm(const SweepFile& sweep, const fs::path& program);

}  // namespace templora
