#pragma once

#include "verify/unverified_run.h"

namespace templora {

/// facts.jsonl and probes.jsonl against the config and each other: what is asked when, by whom, and which answer won;
/// recall.json and recall.md against both. Whether the facts stand in the text takes the text (planted-text).
void verify_recall(const UnverifiedRun& run, Verification& v);

}  // namespace templora
