#pragma once

#include <c10/core/Device.h>

#include <string>

#include "cost/measured_memory.h"

namespace templora {

/// Peaks of this process so far, and by phase. Both are the process's: LibTorch's and the system's counters know no
/// runs.
MeasuredMemory measured_memory(const at::Device& device);

/// A phase begins: what was there before is nobody's.
void begin_phase_memory(const at::Device& device);

/// The phase that ran since the last call of either ends.
void end_phase_memory(const std::string& phase, const at::Device& device);

}  // namespace templora
