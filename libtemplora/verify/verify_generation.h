#pragma once

#include "verify/unverified_run.h"

namespace templora {

/// A generation: its chunks and what they learnt, its text and table.
void verify_generation(const UnverifiedRun& run, Verification& v);

}  // namespace templora
