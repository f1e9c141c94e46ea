#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cost/cost.h"
#include "cost/device_peaks.h"

namespace templora {

/// The config with Temp-LoRA alone: what only measures it (the base's own scores, controls, staleness) is off.
Config method_alone(const Config& config);

/// The plain model under a window of `window` tokens with this config's chunks: every chunk's window computed anew, or
/// keys and values kept and slid along (cache.policy last_n). Throws Error(usage) where a chunk fills the window.
Config plain_window(const Config& config, std::int64_t window, bool cached);

/// One way to compute the same thing, by name, far inside a document.
struct CostVariant {
  std::string name;
  Work per_token;
};

/// From the released code as it runs down to the plain model with kept keys, at this config's Δ, L_X, L_T and rank.
std::vector<CostVariant> cost_variants(const Config& config, const ModelShape& shape);

/// A plain model's cost beside Temp-LoRA's.
struct ReferenceCost {
  std::int64_t window = 0;
  bool cached = false;
  Work per_token;
  double memory_bytes = 0;
};

/// The plain model under the config's own window, cost.reference_window, 24576 and 32768, each both ways; those that
/// a chunk fills are left out.
std::vector<ReferenceCost> reference_costs(const Config& config, const ModelShape& shape);

/// Shortest time that a device's peaks allow: every operation at the peak of its rate, or every byte at that of the
/// memory's, whichever is longer. A floor, no promise. Seconds.
double floor_seconds(const Work& work, const DevicePeaks& device, Dtype dtype);

/// What the paper prints for a setting, percent against a plain model of unknown window; empty where its version does
/// not say.
struct PaperCostClaim {
  const char* setting;   ///< "economy", "luxury"
  const char* version;   ///< "v1", "v3"
  std::optional<double> perplexity, flops, latency, memory;
};

/// The claims for a config whose Δ and W are those of "economy" (2K, 4K) or "luxury" (1K, 24K); else none.
std::vector<PaperCostClaim> paper_cost_claims(const Config& config);

}  // namespace templora
