#pragma once

#include <string>
#include <string_view>

namespace templora {

/// Throws Error(bad_input) where a file's `text` is the short one that git stores in a large file's place.
void refuse_lfs_pointer(std::string_view text, const std::string& where);

}  // namespace templora
