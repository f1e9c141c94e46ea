#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"

namespace templora {

/// Learning rates of `steps` optimizer steps on one chunk: constant after a linear warm-up that is counted either in
/// chunks or in steps. Chunk k of an adapter's chunks, learnt or not, runs at lr · min(1, k / warmup_chunks), as the
/// released code's scheduler does: chunk 0 trains at 0. Step s = 1, 2, … runs at lr · min(1, s / warmup_steps).
/// `place` is the k of the chunk that is trained on, `steps_done` the adapter's optimizer steps before it.
std::vector<double> learning_rates(const TrainConfig& train, std::int64_t place, std::int64_t steps_done,
                                   std::int64_t steps);

/// Learning rate of step 1, 2, … of a pretraining of `steps` steps: a linear warm-up over the first warmup_steps, then
/// half a cosine down to the smallest rate at the last step.
double pretraining_rate(const PretrainConfig& pretrain, std::int64_t step, std::int64_t steps);

}  // namespace templora
