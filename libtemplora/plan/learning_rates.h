#pragma once

#include <cstdint>
#include <vector>

#include "config/config.h"

namespace templora {

/// Where a chunk stands in what its adapter reads.
struct Place {
  /// Not explicit: of a text that is still being written the number says all.
  Place(std::int64_t chunk, double left = 1) : chunk(chunk), left(left) {}
  std::int64_t chunk;  ///< k = 0, 1, …: which of the adapter's chunks it is, learnt or not
  double left;         ///< share of the adapter's text from this chunk on, 1 at its first; 1 where its end is not known
};

/// Learning rates of `steps` optimizer steps on one chunk: a linear warm-up that is counted either in chunks or in
/// steps, times train.rate_decay. Chunk k runs at lr · min(1, k / warmup_chunks), as the released code's scheduler
/// does: chunk 0 trains at 0. Step s = 1, 2, … runs at lr · min(1, s / warmup_steps). "sqrt" divides by √(1 + k),
/// "linear" multiplies by what is left of the text.
/// `place` is that of the chunk that is trained on, `steps_done` the adapter's optimizer steps before it.
std::vector<double> learning_rates(const TrainConfig& train, const Place& place, std::int64_t steps_done,
                                   std::int64_t steps);

/// Learning rate of step 1, 2, … of a pretraining of `steps` steps: a linear warm-up over the first warmup_steps, then
/// half a cosine down to the smallest rate at the last step.
double pretraining_rate(const PretrainConfig& pretrain, std::int64_t step, std::int64_t steps);

}  // namespace templora
