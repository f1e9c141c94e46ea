#include "config/adapter_sites.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/error.h"

namespace templora {

void check_adapter_sites(const LoraConfig& lora, const LayerSpec& layer, std::int64_t layers) {
  for (const std::int64_t wanted : lora.layers.value_or(std::vector<std::int64_t>()))
    if (wanted < 0 || wanted >= layers)
      throw Error(Exit::usage,
                  fmt::format("lora.layers: got {}, but the model has layers 0 to {}", wanted, layers - 1));
  const std::vector<std::string> names = layer.projections();
  for (const std::string& target : lora.targets)
    if (std::find(names.begin(), names.end(), target) == names.end())
      throw Error(Exit::usage, fmt::format("lora.targets: got \"{}\", but the model has {}; set lora.targets to some "
                                           "of these",
                                           target, fmt::join(names, ", ")));
}

}  // namespace templora
