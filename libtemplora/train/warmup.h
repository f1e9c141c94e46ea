#pragma once

#include <cstdint>
#include <vector>

#include "run/config.h"

namespace templora {

/// Learning rates of the steps on one chunk: constant after a linear warm-up that is counted either in
/// chunks (training on chunk k runs at lr · min(1, k / warmup_chunks), as the released code's scheduler
/// does: chunk 0 trains at 0) or in steps (step s = 1, 2, … runs at lr · min(1, s / warmup_steps)).
/// `chunk` is the index of the chunk that is trained on, `steps_done` the optimizer steps before it.
std::vector<double> learning_rates(const TrainConfig& config, std::int64_t chunk, std::int64_t steps_done);

}  // namespace templora
