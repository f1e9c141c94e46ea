#pragma once

#include "cost/run_cost.h"

namespace templora {

/// Seconds that `whole` takes where it goes as fast as a part of it, `measured`, went: each phase at the FLOP/s, or
/// where it has none the bytes/s, that it reached there, what was not measured alone at the mean of all; seconds of
/// phases without work by tokens. 0 where nothing was measured.
double seconds_at(const CostPrediction& whole, const RunCost& measured);

}  // namespace templora
