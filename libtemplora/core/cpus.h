#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace templora {

/// More threads than this no run takes.
inline constexpr std::int64_t kMostThreads = 4096;

/// How many CPUs a process may use, and what says so.
struct UsableCpus {
  std::int64_t count = 1;
  std::string why;  ///< "affinity 8, SLURM_CPUS_PER_TASK 4": all limits that are there, the smallest of which counts
};

/// The smallest of: the CPUs that the scheduler lets this process run on, the quota of its cgroup and of
/// those around it (versions 1 and 2; whole CPUs, at least one), SLURM_CPUS_PER_TASK and OMP_NUM_THREADS
/// where they hold a number. `root` is where /proc and /sys lie and `variable` reads the environment, for
/// tests.
UsableCpus usable_cpus(const std::filesystem::path& root = "/",
                       const std::function<const char*(const char*)>& variable = {});

}  // namespace templora
