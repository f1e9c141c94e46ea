#pragma once

#include <string>

#include "report/cost_table.h"

namespace templora {

/// What a config is predicted to cost: of one new token, and of a whole run where `input` has its documents' tokens.
/// `name` is the config's; an empty `device` means cost.device, or none. Throws Error(usage) for a translation, and for
/// a device that is not known.
CostReport predicted_report(const Config& config, const std::string& name, const ModelShape& shape,
                            const std::string& device, const CostInput& input);

/// Help of --device.
std::string device_option_help();

}  // namespace templora
