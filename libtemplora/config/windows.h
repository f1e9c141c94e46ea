#pragma once

#include <cstdint>

namespace templora {

/// Windows for a model of so many positions, at least 1: what the paper has at its 4,096, Δ 1024 and L_X 3072, and less
/// where there is no room for that. Δ is at most half of the positions.
struct Windows {
  std::int64_t chunk_tokens = 0;    ///< Δ
  std::int64_t context_tokens = 0;  ///< L_X, and L_T
};
Windows windows_for(std::int64_t positions);

}  // namespace templora
