#pragma once

#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <torch/csrc/autograd/profiler_kineto.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>

#include "core/json.h"

namespace templora::bench {

using Clock = std::chrono::steady_clock;

inline double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Waits until the device has done everything that was asked of it; returns at once on the CPU.
inline void synchronise(const at::Device& device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

/// Shortest of several repetitions of `work` in seconds, after one that is not counted.
inline double best_seconds(const at::Device& device, const std::function<void()>& work) {
  double best = 1e300, total = 0;
  for (int i = 0; i < 4 || (total < 0.25 && i < 100); ++i) {
    synchronise(device);
    const auto start = Clock::now();
    work();
    synchronise(device);
    const double seconds = seconds_since(start);
    if (i > 0) best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

/// One matrix product y = x · Wᵀ, x: [m, k], W: [n, k].
struct Product {
  std::int64_t m, n, k;
};

/// FLOP/s of the products of one Llama layer with `rows` rows and of a large square one, each the best of
/// several repetitions: {"products": [{"m", "n", "k", "flops_per_s"}], "peak_flops_per_s"}.
inline Json probe_gemm(std::int64_t rows, std::int64_t hidden, std::int64_t ffn, const at::TensorOptions& options) {
  torch::NoGradGuard no_grad;
  const std::int64_t large = options.device().is_cuda() ? 8192 : 2048;
  Json products = Json::array();
  double peak = 0;
  for (const Product& p : {Product{rows, 3 * hidden, hidden}, Product{rows, hidden, hidden},
                           Product{rows, 2 * ffn, hidden}, Product{rows, hidden, ffn}, Product{large, large, large}}) {
    const at::Tensor x = at::randn({p.m, p.k}, options), weight = at::randn({p.n, p.k}, options);
    const double seconds = best_seconds(options.device(), [&] { at::linear(x, weight); });
    const double rate = 2.0 * double(p.m) * double(p.n) * double(p.k) / seconds;
    products.push_back({{"m", p.m}, {"n", p.n}, {"k", p.k}, {"flops_per_s", rate}});
    peak = std::max(peak, rate);
  }
  return {{"products", products}, {"peak_flops_per_s", peak}};
}

/// Bytes per second of copying a large buffer, read and written bytes counted: {"bytes_per_s"}.
inline Json probe_copy(const at::Device& device) {
  const std::int64_t bytes = device.is_cuda() ? std::int64_t(1) << 30 : std::int64_t(1) << 28;
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device);
  const at::Tensor from = at::zeros({bytes / 4}, options), to = at::empty({bytes / 4}, options);
  const double seconds = best_seconds(device, [&] { to.copy_(from); });
  return {{"bytes_per_s", 2.0 * double(bytes) / seconds}};
}

/// Runs `work` under the profiler and writes a Chrome trace to `path`; launches and synchronisations of the
/// device are events of that trace.
inline void profile(const at::Device& device, const std::string& path, const std::function<void()>& work) {
  namespace prof = torch::autograd::profiler;
  std::set<prof::ActivityType> activities = {prof::ActivityType::CPU};
  if (device.is_cuda()) activities.insert(prof::ActivityType::CUDA);
  const prof::ProfilerConfig config(prof::ProfilerState::KINETO);
  prof::prepareProfiler(config, activities);
  prof::enableProfiler(config, activities);
  work();
  synchronise(device);
  prof::disableProfiler()->save(path);
}

/// Peaks of this process so far: {"peak_rss_bytes", "peak_device_bytes"}.
inline Json memory_peaks(const at::Device& device) {
  std::ifstream status("/proc/self/status");
  std::int64_t peak_kib = 0;
  for (std::string line; std::getline(status, line);)
    if (line.rfind("VmHWM:", 0) == 0) std::istringstream(line.substr(6)) >> peak_kib;
  std::int64_t device_bytes = 0;
  if (device.is_cuda()) {
    const auto index = std::max<c10::DeviceIndex>(0, device.index());
    device_bytes = at::getDeviceAllocator(device.type())->getDeviceStats(index).allocated_bytes[0].peak;
  }
  return {{"peak_rss_bytes", peak_kib * 1024}, {"peak_device_bytes", device_bytes}};
}

}  // namespace templora::bench
