#pragma once

#include "config/config_fields.h"

namespace templora {

/// window.first_chunk_tokens of the released code, which `fidelity: "official"` fills in.
inline constexpr std::int64_t kOfficialFirstChunkTokens = 1024;

/// Of recall.facts (kFactsMultiple, text/facts.h).
inline constexpr std::int64_t kRecallFactsMultiple = 24;

/// What single fields cannot say: keys that exclude or need each other, and ones that an experiment would ignore.
/// Notes every one that is broken, unless a value that it looks at was refused already.
void check_rules(const Config& config, Mistakes& mistakes);

}  // namespace templora
