#pragma once

#include <cstddef>
#include <map>
#include <string>

namespace templora {

/// Numbers that Python's json writes and reads and that our JSON parser does not take, by the offset right behind
/// each: NaN, Infinity, -Infinity, and numbers beyond the range of a double (as infinities).
using ForeignNumbers = std::map<std::size_t, double>;

/// Finds them in `text` outside of strings and puts a string of the same length in the place of each.
ForeignNumbers mask_foreign_numbers(std::string& text);

}  // namespace templora
