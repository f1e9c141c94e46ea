#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"

namespace templora {

/// Something that has to have room in a model's positions.
struct WindowLength {
  std::string keys;  ///< what it is made of: "window.context_tokens + window.chunk_tokens"
  std::int64_t tokens = 0;
};

/// Every such length of an effective config.
std::vector<WindowLength> window_lengths(const Config& config);

/// Config keys and values with which every window has room in `positions` and the rules between keys hold: those that
/// have to change, the config's own lengths kept as far as they go. None where nothing has to change, or where no such
/// values are known.
std::vector<std::pair<std::string, std::int64_t>> fitting_windows(const Config& config, std::int64_t positions);

}  // namespace templora
