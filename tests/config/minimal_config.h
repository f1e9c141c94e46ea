#pragma once

#include <string>

namespace templora_test {

/// The text of the smallest config that is accepted.
inline const std::string kMinimal = R"({"model": {"path": "m"}, "data": {"books": ["b/*.txt"]}})";

}  // namespace templora_test
