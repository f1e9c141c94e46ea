#pragma once

#include <c10/core/Device.h>

#include <filesystem>
#include <optional>
#include <string>

#include "config/config.h"
#include "core/json.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace templora {

/// What a run computes on: the device, the thread count and what decides its bits.
struct Machine {
  at::Device device = at::Device(at::kCPU);
  std::int64_t threads = 1;
  std::string cpu_capability;  ///< instruction set that LibTorch's kernels use
  std::string row_kernels;     ///< that of our own, which are finer: "avx512bf16"
  std::string torch_version;
  std::string device_name;     ///< processor model
};

/// Lets the allocator keep what is freed: each chunk frees and takes the same activations, and giving them
/// back to the kernel in between costs 6 % of a bfloat16 chunk in page faults (2-core Zen 4, 12 layers, hidden 768).
void keep_freed_memory();

/// The device that model.device names. Throws as set_up_machine() does.
at::Device device_of(const std::string& name);

/// Whether products of bfloat16 have kernels here: on a CPU they want AVX-512. Without it they take LibTorch's plain
/// loops: 20 times as long as float32's (the quickstart on a Zen 3 core).
bool has_bfloat16_kernels(const at::Device& device);

/// Sets the process up as the config says: device, threads, allocator. float32 products keep float32's precision,
/// which is LibTorch's default.
/// Throws Error(resources) for a device that is not there, Error(usage) for a name that is none.
Machine set_up_machine(const ModelConfig& model, const RunConfig& run);

/// The machine's part of a run's identity: what decides its bits.
Json identity_of(const Machine& machine);

/// Throws Error(usage) where a window, cache or training sequence of the config is longer than the model's
/// positions and model.allow_beyond_positions is off; all of them are named, with values that fit.
void check_windows(const Config& config, const LlamaConfig& model);

/// Ends a run that was asked to stop and has saved its state. Throws Error(interrupted), which says how to go on.
[[noreturn]] void end_stopped(const std::filesystem::path& folder);

/// Opens the model in the config's dtype on the machine's device. Throws as load_llama does.
Llama open_model(const ModelConfig& config, const Machine& machine);

/// The tokenizer of the config: model.tokenizer, or the model folder's.
Tokenizer open_tokenizer(const ModelConfig& config);
/// The same for a run: where there was a choice of files, a line on standard error says which was read and why.
Tokenizer open_run_tokenizer(const ModelConfig& config);

}  // namespace templora
