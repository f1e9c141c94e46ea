#include "plan/learning_rates.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace templora {

namespace {

double decayed(RateDecay decay, const Place& place) {
  switch (decay) {
    case RateDecay::none: return 1;
    case RateDecay::sqrt: return 1 / std::sqrt(1 + double(place.chunk));
    case RateDecay::linear: return place.left;
  }
  return 1;
}

}  // namespace

std::vector<double> learning_rates(const TrainConfig& train, const Place& place, std::int64_t steps_done,
                                   std::int64_t steps) {
  const double decay = decayed(train.rate_decay, place);
  std::vector<double> rates;
  for (std::int64_t step = 1; step <= steps; ++step) {
    double share = 1.0;
    if (train.warmup_chunks && *train.warmup_chunks > 0)
      share = std::min(1.0, double(place.chunk) / double(*train.warmup_chunks));
    else if (train.warmup_steps && *train.warmup_steps > 0)
      share = std::min(1.0, double(steps_done + step) / double(*train.warmup_steps));
    rates.push_back(train.learning_rate * share * decay);
  }
  return rates;
}

double pretraining_rate(const PretrainConfig& p, std::int64_t step, std::int64_t steps) {
  if (step <= p.warmup_steps) return p.learning_rate * double(step) / double(p.warmup_steps);
  const double done = double(step - p.warmup_steps) / double(std::max<std::int64_t>(1, steps - p.warmup_steps));
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * done));
  return p.learning_rate * (p.min_learning_rate_share + (1 - p.min_learning_rate_share) * cosine);
}

}  // namespace templora
