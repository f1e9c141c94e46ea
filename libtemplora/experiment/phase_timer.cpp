#include "experiment/phase_timer.h"

#include <c10/core/impl/VirtualGuardImpl.h>

#include "experiment/memory_peaks.h"

namespace templora {

PhaseTimer::PhaseTimer(const at::Device& device) : device_(device) {
  begin_phase_memory(device_);
  marks_.push_back({"", std::chrono::steady_clock::now()});
  if (!device_.is_cpu()) events_.push_back(record());
}

c10::Event PhaseTimer::record() const {
  c10::Event event(device_.type(), c10::EventFlag::BACKEND_DEFAULT);
  event.record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return event;
}

void PhaseTimer::mark(const std::string& phase) {
  end_phase_memory(phase, device_);
  marks_.push_back({phase, std::chrono::steady_clock::now()});
  if (!device_.is_cpu()) events_.push_back(record());
}

std::map<std::string, double> PhaseTimer::seconds() {
  std::map<std::string, double> total;
  if (!events_.empty()) events_.back().synchronize();
  for (std::size_t i = 1; i < marks_.size(); ++i) {
    if (device_.is_cpu())
      total[marks_[i].phase] += std::chrono::duration<double>(marks_[i].time - marks_[i - 1].time).count();
    else
      total[marks_[i].phase] += events_[i - 1].elapsedTime(events_[i]) * 1e-3;
  }
  return total;
}

}  // namespace templora
