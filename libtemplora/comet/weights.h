#pragma once

#include <filesystem>

#include "comet/comet_net.h"

namespace templora {

/// Builds the network of `config` on `device` in float32 with the weights of model.safetensors (or its shards) in
/// `folder`. Everything missing, extra or misshapen is collected and reported in one Error(bad_input) before any
/// weight is allocated; Error(resources) where the weights do not fit.
CometNet load_comet_net(const std::filesystem::path& folder, const CometConfig& config, const at::Device& device);

}  // namespace templora
