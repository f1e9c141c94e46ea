#pragma once

#include "verify/unverified_run.h"

namespace templora {

/// Reads nll/ into `run`: per-token NLLs against the chunks' means.
void verify_nll(UnverifiedRun& run, Verification& v);
/// summary.json, table.md and the figure against the NLLs.
void verify_perplexity_tables(const UnverifiedRun& run, Verification& v);
/// The base weights' hashes before and after.
void verify_weights(const UnverifiedRun& run, Verification& v);

}  // namespace templora
