#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// Smallest number of insertions, deletions and substitutions that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that is closest to a dotted key, by its whole path or, in another section, by its last component:
/// what a mistyped name may have meant. The first of equals. Throws Error(usage) if there is no candidate.
std::string nearest_name(const std::string& key, const std::vector<std::string>& candidates);

}  // namespace templora
