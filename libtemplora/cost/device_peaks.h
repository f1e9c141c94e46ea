#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace templora {

/// What a device can do at most, for floors of time.
struct DevicePeaks {
  std::string name;
  double bf16_flops = 0;    ///< FLOP/s of dense bfloat16 products
  double fp32_flops = 0;    ///< FLOP/s of float32 products that keep float32's precision
  double bytes_per_s = 0;   ///< to and from memory
  double memory_bytes = 0;
  std::string source;       ///< where the figures are from

  double flops(Dtype dtype) const { return dtype == Dtype::bfloat16 ? bf16_flops : fp32_flops; }
};

/// A device by name ("H200", case does not matter), or its peaks as a list
/// "bf16_flops=9.9e14,fp32_flops=6.7e13,bytes_per_s=4.8e12,memory_bytes=1.41e11" with each name once.
/// Throws Error(usage) that starts with `where` and lists the known names, or names the peak that is missing.
DevicePeaks device_peaks(const std::string& name_or_list, const std::string& where = "--device");

/// Names that device_peaks() knows.
std::vector<std::string> device_names();

}  // namespace templora
