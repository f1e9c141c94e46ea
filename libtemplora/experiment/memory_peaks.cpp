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

}  // namespace

MeasuredMemory measured_memory(const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  all.resident = std::max(all.resident, take_resident_peak());
  MeasuredMemory memory{all.resident, {}, all.phases};
  if (!device.is_cpu()) memory.peak_device_bytes = all.device = std::max(all.device, take_device_peak(device));
  return memory;
}

void begin_phase_memory(const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  all.resident = std::max(all.resident, take_resident_peak());
  if (!device.is_cpu()) all.device = std::max(all.device, take_device_peak(device));
}

void end_phase_memory(const std::string& phase, const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  PhasePeak& peak = all.phases[phase];
  const std::int64_t resident = take_resident_peak();
  peak.resident_bytes = std::max(peak.resident_bytes, resident);
  all.resident = std::max(all.resident, resident);
  if (device.is_cpu()) return;
  const std::int64_t held = take_device_peak(device);
  peak.device_bytes = std::max(peak.device_bytes.value_or(0), held);
  all.device = std::max(all.device, held);
}

}  // namespace templora
