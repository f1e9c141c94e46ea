#include "experiment/memory_peaks.h"

#include <ATen/Context.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

#include <algorithm>
#include <mutex>

namespace templora {
namespace {

struct Peaks {
  std::mutex mutex;
  std::int64_t resident = 0;  // at the last look
  std::int64_t device = 0;    // the allocator's own peak starts anew with each phase
  std::map<std::string, PhasePeak> phases;
};

Peaks& peaks() {
  static Peaks all;
  return all;
}

std::int64_t resident_peak() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return std::int64_t(usage.ru_maxrss) * 1024;
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
  MeasuredMemory memory{resident_peak(), {}, all.phases};
  if (!device.is_cpu()) memory.peak_device_bytes = all.device = std::max(all.device, take_device_peak(device));
  return memory;
}

void begin_phase_memory(const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  all.resident = resident_peak();
  if (!device.is_cpu()) all.device = std::max(all.device, take_device_peak(device));
}

void end_phase_memory(const std::string& phase, const at::Device& device) {
  Peaks& all = peaks();
  const std::lock_guard lock(all.mutex);
  PhasePeak& peak = all.phases[phase];
  const std::int64_t resident = resident_peak();
  peak.rise_bytes += resident - all.resident;
  all.resident = resident;
  if (device.is_cpu()) return;
  const std::int64_t held = take_device_peak(device);
  peak.device_bytes = std::max(peak.device_bytes.value_or(0), held);
  all.device = std::max(all.device, held);
}

}  // namespace templora
