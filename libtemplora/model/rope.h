#pragma once

#include <ATen/core/Tensor.h>

#include "model/llama_config.h"

namespace templora {

/// cos and sin of every position's rotation angles, both [seq, head_dim / 2] float32.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// Angles of positions 0 … seq-1 (Su et al. 2021, arXiv 2104.09864), stretched as the config says and as
/// transformers 4.57 computes it. Dynamic scaling depends on the length: it is measured from this `seq`
/// alone, so a result never depends on what was computed before.
RopeTable rope_table(const LlamaConfig& config, std::int64_t seq, const at::Device& device);

}  // namespace templora
