#pragma once

#include "verify/unverified_run.h"

namespace templora {

/// A translation run: its order, lengths and training, its values, scores and tables.
void verify_translation(UnverifiedRun& run, Verification& v);

}  // namespace templora
