#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"

// The states in a run's state/ folder: state-<n>.json, whose appearance completes the state, and the tensors
// state-<n>.safetensors, which are there before it. Written by RunFolder alone.

namespace templora {

/// One saved state.
struct StateFile {
  std::int64_t number = 0;
  Json state;                                  ///< the caller's part
  fs::path tensors;                            ///< in the same folder
  std::map<std::string, std::uint64_t> sizes;  ///< record file, relative to the run folder -> bytes that count
};

/// "state-3.safetensors".
std::string state_tensors_name(std::int64_t number);

/// Numbers of the states with a JSON part, growing.
std::vector<std::int64_t> state_numbers(const fs::path& states);

/// Reads a state and checks that its tensors are there with the hash that was recorded and that every record
/// file is long enough; otherwise returns nothing and says why.
std::optional<StateFile> read_state(const fs::path& run_folder, std::int64_t number, std::string& why);

/// Forces the tensors to disk and writes the JSON part. Throws Error(resources).
void write_state(const fs::path& run_folder, const StateFile& state);

/// Removes the states that `drop(number)` names, JSON parts first, and every file that belongs to no state.
void remove_states(const fs::path& states, const std::function<bool(std::int64_t)>& drop);

/// Removes files whose names fit the glob `pattern`, if the folder is there: temporaries of a process that was killed.
void remove_leftovers(const fs::path& folder, const std::string& pattern);

}  // namespace templora
