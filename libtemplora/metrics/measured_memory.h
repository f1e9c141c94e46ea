#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace templora {

/// Memory that a phase was seen to need, over all its occurrences in one process.
struct PhasePeak {
  /// By how much resident memory's peak rose while it ran. Freed memory is kept by the process, so a phase that fits
  /// into what others left behind adds nothing.
  std::int64_t rise_bytes = 0;
  std::optional<std::int64_t> device_bytes;  ///< most that a GPU's allocator held while it ran
};

/// Peaks of memory that one process saw; a resumed run's are those of its last one.
struct MeasuredMemory {
  std::int64_t peak_rss_bytes = 0;
  std::optional<std::int64_t> peak_device_bytes;  ///< of a GPU's allocator
  std::map<std::string, PhasePeak> phases;        ///< by names of chunks.jsonl's seconds
};

}  // namespace templora
