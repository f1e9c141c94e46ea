#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "io/safetensors.h"

namespace templora {

/// The stored tensor as a CPU tensor over the mapped bytes (no copy; read only, valid while the files are).
at::Tensor view_of(const TensorSpan& span);

/// Copies a stored tensor into `target`, on whatever device that is. Throws Error(bad_input) naming file and
/// tensor if it is not there or has another shape or dtype: a saved state fits exactly or not at all.
void copy_stored(const SafetensorsFiles& files, const std::string& name, at::Tensor target);

/// Writes named tensors (any device, made contiguous) as one safetensors file, atomically.
void save_tensors(const fs::path& file, const std::vector<std::pair<std::string, at::Tensor>>& tensors,
                  const std::map<std::string, std::string>& metadata = {});

}  // namespace templora
