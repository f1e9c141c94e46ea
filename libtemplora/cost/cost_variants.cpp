#include "cost/cost_variants.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/lengths.h"
#include "core/error.h"

namespace templora {

Config method_alone(const Config& config) {
  Config alone = config;
  alone.control.clear();
  alone.cache.measure_staleness = false;
  alone.neural_cache = {};
  alone.bm25 = {};
  if (config.score.adapter) alone.score.base = false;
  return alone;
}

Config plain_window(const Config& config, std::int64_t window, bool cached) {
  const std::int64_t chunk = config.window.chunk_tokens;
  if (window <= chunk)
    throw Error(Exit::usage,
                fmt::format("cost.reference_window: got {}, wanted more than window.chunk_tokens, {}", window, chunk));
  Config plain = method_alone(config);
  plain.experiment = ExperimentKind::perplexity;
  plain.score.base = true;
  plain.score.adapter = false;
  plain.lora.rows = AdapterRows::all;
  plain.window.context_tokens = window - chunk;
  plain.window.first_chunk_tokens = chunk;
  plain.cache.policy = cached ? CachePolicy::last_n : CachePolicy::rebuild;
  plain.cache.sink_tokens = 0;
  plain.cache.window_tokens = window;
  return plain;
}

std::vector<CostVariant> cost_variants(const Config& config, const ModelShape& shape) {
  Config module = method_alone(config);
  module.experiment = ExperimentKind::perplexity;
  module.score.adapter = true;
  module.score.base = false;
  module.cache.policy = CachePolicy::rebuild;
  module.train.lag_chunks = 0;
  Config both = module, shared = module;
  both.score.base = true;
  shared.lora.dropout = 0;
  const std::int64_t window = context_tokens(config) + config.window.chunk_tokens;
  Execution plain, unshared;
  plain.trims_last_layer = plain.skips_input_gradient = false;
  unshared = plain;
  unshared.shares_forward = false;
  const auto per_token = [&](const Config& c, const Execution& e) { return cost_per_token(c, shape, e).total(); };
  std::vector<CostVariant> variants{
      {"released code as run: 4 scoring passes, all logits", per_token(both, Execution::released())},
      {"one score by the module, labelled logits only", per_token(module, unshared)},
      {"the scored pass is the first epoch's (exact where dropout = 0 and L_X = L_T)", per_token(shared, plain)},
      {"and the last layer trimmed, no gradient below the lowest adapter (exact)", per_token(shared, {})}};
  if (window > config.window.chunk_tokens) {
    variants.push_back(
        {"plain model, window computed anew every chunk", per_token(plain_window(config, window, false), {})});
    variants.push_back({"plain model, keys and values kept", per_token(plain_window(config, window, true), {})});
  }
  return variants;
}

std::vector<ReferenceCost> reference_costs(const Config& config, const ModelShape& shape) {
  std::vector<std::int64_t> windows{context_tokens(config) + config.window.chunk_tokens, config.cost.reference_window,
                                    24576, 32768};
  std::sort(windows.begin(), windows.end());
  windows.erase(std::unique(windows.begin(), windows.end()), windows.end());
  std::vector<ReferenceCost> costs;
  for (const std::int64_t window : windows) {
    if (window <= config.window.chunk_tokens) continue;
    for (const bool cached : {false, true}) {
      const CostPrediction plain = cost_per_token(plain_window(config, window, cached), shape);
      costs.push_back({window, cached, plain.total(), plain.memory.total()});
    }
  }
  return costs;
}

double floor_seconds(const Work& work, const DevicePeaks& device, Dtype dtype) {
  return std::max(work.flops() / device.flops(dtype), work.bytes / device.bytes_per_s);
}

std::vector<PaperCostClaim> paper_cost_claims(const Config& config) {
  const std::int64_t chunk = config.window.chunk_tokens, window = context_tokens(config) + chunk;
  if (!config.score.adapter || !config.train.enabled) return {};
  if (chunk == 2048 && window == 4096)
    return {{"economy", "v1", -3.8, -70.5, -51.5, {}}, {"economy", "v3", -3.8, {}, -60.0, -51.5}};
  if (chunk == 1024 && window == 24576)
    return {{"luxury", "v1", -5.0, 17.0, 19.6, {}}, {"luxury", "v3", {}, {}, {}, {}}};
  return {};
}

}  // namespace templora
