#include "train/warmup.h"

#include <algorithm>

namespace templora {

std::vector<double> learning_rates(const TrainConfig& config, std::int64_t chunk, std::int64_t steps_done) {
  std::vector<double> rates;
  for (std::int64_t epoch = 0; epoch < config.epochs; ++epoch) {
    double share = 1.0;
    if (config.warmup_chunks && *config.warmup_chunks > 0)
      share = std::min(1.0, double(chunk) / double(*config.warmup_chunks));
    else if (config.warmup_steps && *config.warmup_steps > 0)
      share = std::min(1.0, double(steps_done + epoch + 1) / double(*config.warmup_steps));
    rates.push_back(config.learning_rate * share);
  }
  return rates;
}

}  // namespace templora
