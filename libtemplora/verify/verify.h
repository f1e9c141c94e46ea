#pragma once

#include <filesystem>

#include "config/config.h"
#include "verify/verification.h"

namespace templora {

/// The config of a run's record, whose paths are absolute. Throws Error(usage) where it is none.
LoadedConfig read_recorded_config(const Json& config);

/// Checks a run's folder from what lies in it: that records follow one another, that every token was scored by a
/// adapter that had not seen it, that tables follow from the per-token NLLs, that hashes fit. docs/verify.md lists
/// what it finds, by name. Texts and weights outside the folder are not looked at. An unfinished run is checked as far
/// as it goes, and a remark says so.
/// Throws Error(bad_input) where the folder holds no run, or one of a later version.
Verification verify_run(const std::filesystem::path& folder);

}  // namespace templora
