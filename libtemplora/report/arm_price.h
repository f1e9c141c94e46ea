#pragma once

#include <optional>

#include "core/json.h"
#include "run/run_data.h"

namespace templora {

/// What the base's pass or the adapter costs a token of a run; none where the run does not say.
struct ArmPrice {
  std::optional<double> flops, seconds;
};

/// Sum over the phases of one side, by summary.json's predicted FLOPs and the chunks' seconds. The adapter's side is
/// all that is neither the base's nor that of controls, caches and measurements beside it.
ArmPrice arm_price(const RunData& run, const Json& summary, bool adapter);

}  // namespace templora
