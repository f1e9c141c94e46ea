#pragma once

#include "config/config.h"
#include "verify/verification.h"

namespace templora {

/// Compares the hashes of a run's record with the texts, tokenizer, model and adapter that its config names, where
/// these are still there; what is not is said to be not checked.
void verify_inputs(const std::string& folder, const Config& config, const Json& run_record, Verification& v);

/// Hashes of the texts that a run's controls learnt from, in their order; none where it recorded none.
std::vector<std::string> recorded_control_hashes(const Json& run_record);

/// Runs `count` chunks of a perplexity run again, spread over it and drawn from its seed, each from the nearest state
/// that the folder keeps or from its document's start, and compares their NLLs: bit for bit on the machine that made
/// them, else the chunks' means within a tolerance. A remark says what was run and what it cost.
void replay_chunks(const std::string& folder, Config config, const Json& run_record, std::int64_t count,
                   Verification& v);

}  // namespace templora
