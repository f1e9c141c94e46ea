#pragma once

#include "verify/unverified_run.h"

namespace templora {

/// A pretraining: its steps, rates, looks at held-out texts and summary.
void verify_pretrain(const UnverifiedRun& run, Verification& v);

}  // namespace templora
