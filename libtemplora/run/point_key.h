#pragma once

namespace templora {

/// Under which a sweep's cell has the name of its point among its values; no config key.
inline constexpr const char* kPointKey = "point";

}  // namespace templora
