#pragma once

#include "verify/unverified_run.h"

namespace templora {

// Books and chunks of runs that score texts: their order, what each chunk saw and learnt, the arms' columns.
void verify_books(const UnverifiedRun& run, Verification& v);
void verify_chunks(const UnverifiedRun& run, Verification& v);
void verify_controls(const UnverifiedRun& run, Verification& v);

}  // namespace templora
