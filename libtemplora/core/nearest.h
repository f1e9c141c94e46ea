#pragma once

#include <string>
#include <vector>

namespace templora {

/// The candidate that is closest to a dotted key, by its whole path or, in another section, by its last component:
/// what a mistyped name may have meant. The first of equals. Throws Error(usage) if there is no candidate.
std::string nearest_name(const std::string& key, const std::vector<std::string>& candidates);

}  // namespace templora
