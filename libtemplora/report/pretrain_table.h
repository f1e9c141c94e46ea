#pragma once

#include <cstdint>
#include <string>

#include "core/json.h"

namespace templora {

/// The last line of a pretraining's table: what it saw, and its last look at the held-out texts (a line of
/// validation.jsonl). Throws nlohmann's exceptions where `validation` is no such line.
std::string pretrain_row(std::int64_t tokens, double passes, const Json& validation);

/// The whole table.
std::string pretrain_markdown(std::int64_t tokens, double passes, const Json& validation);

}  // namespace templora
