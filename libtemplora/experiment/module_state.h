#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"
#include "lora/lora_adapter.h"
#include "train/chunk_trainer.h"

namespace templora {

using NamedTensors = std::vector<std::pair<std::string, at::Tensor>>;

/// Adds what a module that learns has to keep between two chunks: `<name>.weights`, the optimizer's tensors as
/// `<name>.<its name>`, and the dropout generator as `<name>.generator`. Its count of steps is the caller's to record.
void add_module_state(NamedTensors& tensors, const std::string& name, LoraAdapter& adapter, ChunkTrainer& trainer);

/// Puts it back. Throws Error(bad_input) naming file and tensor where one is missing or does not fit.
void restore_module_state(const SafetensorsFiles& files, const std::string& name, std::int64_t optimizer_steps, LoraAdapter& adapter,
                          ChunkTrainer& trainer);

}  // namespace templora
