#pragma once

#include <ATen/core/Tensor.h>

#include "model/rope_config.h"

namespace templora {

/// cos and sin of every position's rotation angles, both [seq, head_dim / 2] float32.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// Angles of positions 0 … seq-1 (Su et al. 2021, arXiv 2104.09864), stretched as `rope` says and as transformers
/// computes it. Dynamic scaling depends on the length: it is measured from this `seq` alone, so a result never depends
/// on what was computed before.
RopeTable rope_table(const Rope& rope, std::int64_t head_dim, std::int64_t seq, const at::Device& device);

/// What the layers of one pass turn their rows by; a table that no layer uses is undefined.
struct Turns {
  RopeTable full, sliding;
  std::int64_t count = 0;  ///< positions, or rows of a cached pass

  /// Of a layer that turns at all.
  const RopeTable& of(LayerSpec::Rope rope) const { return rope == LayerSpec::Rope::sliding ? sliding : full; }
};

}  // namespace templora
