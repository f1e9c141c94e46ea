#include "experiment/machine.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <malloc.h>
#include <torch/version.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "config/config_fields.h"
#include "config/lengths.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/log.h"
#include "core/stop.h"
#include "model/load.h"
#include "model/row_kernels.h"
#include "plan/window_lengths.h"

namespace templora {
namespace {

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "unknown";
}

}  // namespace

at::Device device_of(const std::string& name) {
  if (name == "auto") return at::Device(at::hasCUDA() ? at::kCUDA : at::kCPU, at::hasCUDA() ? 0 : -1);
  if (name == "cpu") return at::Device(at::kCPU);
  const bool indexed = name.starts_with("cuda:") && name.size() > 5 && name.size() <= 8 &&
                       name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !indexed)
    throw Error(Exit::usage,
                fmt::format("model.device: got \"{}\", wanted \"auto\", \"cpu\", \"cuda\" or \"cuda:N\"", name));
  const int index = indexed ? std::stoi(name.substr(5)) : 0;
  const int count = at::hasCUDA() ? int(at::detail::getCUDAHooks().deviceCount()) : 0;
  if (index >= count)
    throw Error(
        Exit::resources,
        fmt::format("model.device: got \"{}\", but there are {} CUDA devices; use \"cpu\" or \"auto\"", name, count));
  return at::Device(at::kCUDA, at::DeviceIndex(index));
}

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
#endif
}

bool has_bfloat16_kernels(const at::Device& device) {
  const std::string_view kernels = cpu::row_kernels().name;
  return !device.is_cpu() || kernels == "v4" || kernels == "bf16";
}

Machine set_up_machine(const ModelConfig& model, const RunConfig& run) {
  keep_freed_memory();
  Machine machine;
  machine.device = device_of(model.device);
  machine.threads = run.threads;
  if (run.threads == 0) {
    const UsableCpus usable = usable_cpus();
    machine.threads = usable.count;
    log_line(fmt::format("{} thread{}: what this process may use ({}); run.threads sets another number", usable.count,
                         usable.count == 1 ? "" : "s", usable.why));
  }
  at::set_num_threads(int(machine.threads));
  machine.cpu_capability = at::get_cpu_capability();
  machine.row_kernels = cpu::row_kernels().name;
  machine.torch_version = TORCH_VERSION;
  machine.device_name = processor_name();
  if (model.dtype == Dtype::bfloat16 && !has_bfloat16_kernels(machine.device))
    log_line("bfloat16 is slow on this processor, which has no AVX-512; model.dtype float32 is many times as fast");
  return machine;
}

Json identity_of(const Machine& machine) {
  return Json{{"threads", machine.threads},
              {"device", machine.device.is_cpu() ? "cpu" : "cuda"},
              {"cpu_capability", machine.cpu_capability},
              {"row_kernels", machine.row_kernels},
              {"torch_version", machine.torch_version}};
}

void check_windows(const Config& config, const LlamaConfig& model) {
  const std::int64_t chunk = config.window.chunk_tokens, context = context_tokens(config);
  const std::int64_t window = window_tokens(config);
  const bool slides = config.cache.policy == CachePolicy::refill || config.cache.policy == CachePolicy::last_n;
  if (!slides && window != context + chunk)
    throw Error(
        Exit::usage,
        fmt::format("cache.window_tokens: got {} beside cache.policy \"{}\", which has no use for it; wanted null, "
                    "or window.context_tokens + window.chunk_tokens = {} + {}",
                    window, enum_name(config.cache.policy), context, chunk));
  if (config.model.allow_beyond_positions) return;
  std::string beyond, fits;
  for (const auto& [keys, length] : window_lengths(config))
    if (length > model.max_positions)
      beyond += fmt::format("{}{}: got {} tokens", beyond.empty() ? "" : "; ", keys, length);
  if (beyond.empty()) return;
  for (const auto& [key, tokens] : fitting_windows(config, model.max_positions))
    fits += fmt::format("{}{}={}", fits.empty() ? "; these fit: " : " ", key, tokens);
  throw Error(Exit::usage,
              fmt::format("{}; but the model has {} positions{}. Shorten the windows, stretch the positions with "
                          "model.rope_scaling, or set model.allow_beyond_positions",
                          beyond, model.max_positions, fits));
}

void end_stopped(const std::filesystem::path& folder) {
  throw Error(Exit::interrupted, fmt::format("stopped by {}; state saved in {}; go on with --resume --out {}",
                                             stop_signal_name(), folder.string(), folder.string()));
}

Llama open_model(const ModelConfig& config, const Machine& machine) {
  return load_llama(config.path, config.dtype == Dtype::bfloat16 ? at::kBFloat16 : at::kFloat, machine.device,
                    config.rope_scaling);
}

Tokenizer open_tokenizer(const ModelConfig& config) { return Tokenizer(config.tokenizer.value_or(config.path)); }

Tokenizer open_run_tokenizer(const ModelConfig& config) {
  Tokenizer tokenizer = open_tokenizer(config);
  if (config.tokenizer || tokenizer.had_choice())
    log_line(fmt::format("tokenizer: {}{}", tokenizer.source(), config.tokenizer ? ", named by model.tokenizer" : ""));
  return tokenizer;
}

}  // namespace templora
