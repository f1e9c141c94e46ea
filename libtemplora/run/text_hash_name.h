#pragma once

#include <string_view>

namespace templora {

/// Whether a name of run.json's identity is the hash of a scored text, as it was read or as its file has it.
inline bool is_text_hash(std::string_view name) {
  return name.starts_with("text_") || name.starts_with("unswapped_text_") || name.starts_with("unplanted_text_");
}

}  // namespace templora
