#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace templora {

/// Parses what people write by hand, configs and sweep files: as parse_json does, with `// …` and `/* … */` wherever
/// white space may stand. Throws what parse_json throws, with the lines and columns of the text as it is; a comment
/// that never ends is refused with the line on which it begins.
Json parse_commented_json(std::string_view text, const std::string& where, Exit code = Exit::usage);

}  // namespace templora
