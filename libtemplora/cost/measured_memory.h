#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace templora {

/// Memory that a phase was seen to need, over all its occurrences in one process.
struct PhasePeak {
  /// Most resident memory while it ran, all of the process's: LibTorch's own, the weights, and what earlier phases
  /// freed and the process kept for the next.
  std::int64_t resident_bytes = 0;
  std::optional<std::int64_t> device_bytes;  ///< most that a GPU's allocator held while it ran
};

/// Peaks of memory that one process saw; a resumed run's are those of its last one.
struct MeasuredMemory {
  std::int64_t peak_rss_bytes = 0;
  std::optional<std::int64_t> peak_device_bytes;  ///< of a GPU's allocator
  std::map<std::string, PhasePeak> phases;        ///< by names of chunks.jsonl's seconds
};

}  // namespace templora
