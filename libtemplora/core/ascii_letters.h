#pragma once

namespace templora {

inline bool is_lower_ascii(char c) { return c >= 'a' && c <= 'z'; }
inline bool is_upper_ascii(char c) { return c >= 'A' && c <= 'Z'; }

}  // namespace templora
