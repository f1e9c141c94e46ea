#pragma once

#include <c10/core/Device.h>
#include <c10/core/Event.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace templora {

/// Wall seconds by phase of one chunk. On CUDA, phases are marked by events that are read once at the end,
/// so that timing adds no synchronisation inside the chunk.
class PhaseTimer {
 public:
  explicit PhaseTimer(const at::Device& device);
  /// Ends the phase that ran since the last mark (or the start) and names it.
  void mark(const std::string& phase);
  /// Seconds by phase, phases of one name added up; they add up to the time since the start.
  std::map<std::string, double> seconds();

 private:
  struct Mark {
    std::string phase;
    std::chrono::steady_clock::time_point time;
  };
  c10::Event record() const;

  at::Device device_;
  std::vector<Mark> marks_;
  std::vector<c10::Event> events_;  // CUDA only: the start, then one a mark
};

}  // namespace templora
