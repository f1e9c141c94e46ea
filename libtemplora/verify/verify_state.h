#pragma once

#include "verify/unverified_run.h"

namespace templora {

// What a run keeps to go on with, and the adapters that it leaves; `documents` is how many it may have left.
void verify_states(const UnverifiedRun& run, Verification& v);
void verify_adapters(const UnverifiedRun& run, std::size_t documents, Verification& v);

}  // namespace templora
