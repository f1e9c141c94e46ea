#pragma once

#include <cstdint>

#include "config/config.h"
#include "config/layer_spec.h"

namespace templora {

/// Throws Error(usage) where a model of `layers` layers, all with the projections of `layer`, has none of the name that
/// lora.targets wants, or no layer that lora.layers wants. PEFT leaves a target that no module has aside, in silence as
/// long as another one fits.
void check_adapter_sites(const LoraConfig& lora, const LayerSpec& layer, std::int64_t layers);

}  // namespace templora
