#pragma once

#include "config/config.h"

namespace templora {

struct CostPrediction;  // cost/cost.h

/// How large a cell is, before it has run.
struct CellSize {
  double tokens = 0;        ///< that it reads or writes: text bytes / 4, up to what the config keeps of each text
  double flops = 0;         ///< by kCountingConvention (cost/work.h); of a translation only the order of magnitude
  double memory_bytes = 0;  ///< tensors that have to be there at once
};

/// From the config, the model's sizes and those of the texts (cost/cost.h).
/// Throws Error(bad_input) naming a text or a model's config.json that is missing or damaged.
CellSize estimate_size(const Config& config);

/// The prediction behind it, by phase, for times by what was measured (cost/run_seconds.h). Not of a translation.
CostPrediction estimate_cost(const Config& config);

}  // namespace templora
