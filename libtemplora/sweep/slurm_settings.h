#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"

namespace templora {

/// The `slurm` section of a sweep file. Empty texts and zeros leave the cluster's own default.
struct SlurmSettings {
  std::string partition, account, time_limit, memory, gpus;
  std::int64_t cpus = 0;              ///< of a task
  std::int64_t tasks = 0;             ///< of the array; 0: one a cell
  std::int64_t throttle = 0;          ///< tasks that run at once; 0: no limit
  std::int64_t workers = 1;           ///< cells at once in a task
  std::int64_t signal_before_s = 120; ///< SIGUSR1 comes so long before the time limit
  std::vector<std::string> options;   ///< further options of sbatch, "--constraint=a100"
  std::vector<std::string> setup;     ///< shell lines before the program starts
};

/// Throws Error(usage) naming `where` and the key: unknown, or of the wrong type.
SlurmSettings read_slurm_settings(const Json& json, const std::string& where);
Json to_json(const SlurmSettings& settings);

}  // namespace templora
