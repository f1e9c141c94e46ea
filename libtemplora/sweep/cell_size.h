#pragma once

#include "run/config.h"

namespace templora {

/// How much work a cell is, estimated from its config and the sizes of its texts alone.
struct CellSize {
  double tokens = 0;  ///< that it reads or writes: text bytes / 4, up to what the config keeps of each text
  double passes = 0;  ///< tokens through the model, context included; a training step counts as three passes
};

/// Throws Error(bad_input) naming a text that is missing.
CellSize estimate_size(const Config& config);

}  // namespace templora
