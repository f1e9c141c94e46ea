#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "core/json.h"

namespace templora_test {

/// Keys of a config with the values that golden settings ({"train.epochs": 2, …}) give them.
inline std::vector<templora::Override> keys_of(const templora::Json& settings) {
  std::vector<templora::Override> keys;
  for (const auto& [key, value] : settings.items())
    keys.push_back({key, value.is_string() ? value.get<std::string>() : value.dump()});
  return keys;
}

/// The text of the smallest config that is accepted.
inline const std::string kMinimal = R"({"model": {"path": "m"}, "data": {"books": ["b/*.txt"]}})";

/// The config of a file with this text, with `keys` and then `more` set.
inline templora::Config made_config(std::vector<templora::Override> keys,
                                    const std::vector<templora::Override>& more = {},
                                    const std::string& text = kMinimal) {
  keys.insert(keys.end(), more.begin(), more.end());
  return templora::parse_config(text, "test", "/tmp", keys).config;
}

}  // namespace templora_test
