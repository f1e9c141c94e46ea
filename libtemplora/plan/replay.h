#pragma once

#include <cstdint>
#include <vector>

#include "plan/document_plan.h"

namespace templora {

/// A run of tokens of an earlier chunk that is learnt once more.
struct ReplayPiece {
  std::int64_t chunk;   ///< number of the earlier chunk
  std::int64_t offset;  ///< of its first token in that chunk
  std::int64_t tokens;
};

/// What the `steps` optimizer steps on chunk `index` learn of earlier ones (train.replay_share = s): one piece a step,
/// drawn from seed and document, of an earlier chunk of the same adapter, learnt or not; s / (1 - s) times as many
/// tokens as the chunk has labels, or all of a shorter one. None where there is no earlier chunk or s is 0.
std::vector<ReplayPiece> replay_pieces(const Config& config, const DocumentPlan& plan, std::int64_t document,
                                       std::int64_t index, std::int64_t steps);

}  // namespace templora
