#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/config.h"
#include "probe.h"

namespace templora {

struct DryRun {
  std::string config;                            ///< its file's name
  std::optional<std::filesystem::path> folder;   ///< of --out
  std::string default_folder;                    ///< as it would be called without: "runs/small/<time>-<hash>"
  std::string device;                            ///< of --device; "": this machine is measured
  bool json = false;
};

/// How fast this machine is at a run, as its dry run measures it, with a word on standard error before. Not of a
/// translation. Throws what the run would throw before it starts.
Probe probe_run(const LoadedConfig& loaded);

/// Prints what a run would read, compute, take and write, and writes nothing. Texts are read and cut as the run would
/// do it. Time on this machine comes from a few chunks that are computed with the model, or with a device's name from
/// its peaks, and then no weights are needed. Throws what the run would throw before it starts.
void dry_run(const LoadedConfig& loaded, const DryRun& asked);

}  // namespace templora
