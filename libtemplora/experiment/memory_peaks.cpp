#include "experiment/memory_peaks.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <mutex>

namespace templora {
namespace {

struct Peaks {
  std::mutex mutex;
  std::int64_t resident = 0, device = 0;  // of all phases: the counters start anew with each
  std::map<std::string, PhasePeak> phases;
};

Peaks& peaks() {
  static Peaks all;
  return all;
}

// Linux's VmHWM since the last call, which this one restarts; where that may not be, of the process so far.
std::int64_t take_resident_peak() {
  std::int64_t kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) kib = std::strtoll(line.c_str() + 6, nullptr, 10);
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak alone: no page is looked at
  return kib * 1024;
}

c10::DeviceIndex index_of(const at::Device& device) { return std::max<c10::DeviceIndex>(0, device.index()); }

// Its peak since the last call, which this one restarts.
std::int64_t take_device_peak(const at::Device& device) {
  const auto allocator = at::getDeviceAllocator(device.type());
  const std::int64_t peak = allocator->getDeviceStats(index_of(device)).allocated_bytes[0].peak;
  allocator->resetPeakStats(index_of(device));
  return peak;
}

// Folds the peaks since the last look into those of all phases. → those since the last look
PhasePeak look(Peaks& all, const at::Device& device) {
  PhasePeak since;
  since.resident_bytes = take_resident_peak();
  all.resident = std::max(all.resident, since.resident_bytes);
  if (!device.is_cpu()) {
    since.device_bytes = take_device_peak(device);
    all.device = std::max(all.device, *since.device_bytes);
  }
  return since;
}

}  // namespace

MeasuredMemory measured_memory(const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  look(all, device);
  MeasuredMemory memory{all.resident, {}, all.phases};
  if (!device.is_cpu()) memory.peak_device_bytes = all.device;
  return memory;
}

void begin_phase_memory(const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  look(all, device);
}

void end_phase_memory(const std::string& phase, const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  PhasePeak& peak = all.phases[phase];
  const PhasePeak since = look(all, device);
  peak.resident_bytes = std::max(peak.resident_bytes, since.resident_bytes);
  if (since.device_bytes) peak.device_bytes = std::max(peak.device_bytes.value_or(0), *since.device_bytes);
}

}  // namespace templora
