#include "cost/run_seconds.h"

namespace templora {

double seconds_at(const CostPrediction& whole, const RunCost& measured) {
  Work all;
  double all_seconds = 0, seconds = 0;
  for (const auto& [name, phase] : measured.phases) {
    all += phase.work;
    if (phase.work.flops() > 0 || phase.work.bytes > 0)
      all_seconds += phase.seconds;
    else if (measured.tokens > 0)
      seconds += phase.seconds * double(whole.tokens) / double(measured.tokens);
  }
  const auto at_rate = [](const Work& work, const Work& done, double spent) {
    if (done.flops() > 0) return spent * work.flops() / done.flops();
    return done.bytes > 0 ? spent * work.bytes / done.bytes : 0;
  };
  for (const auto& [name, work] : whole.phases) {
    const auto found = measured.phases.find(name);
    const bool alone = found != measured.phases.end() && found->second.seconds > 0 && found->second.work.bytes > 0;
    seconds += alone ? at_rate(work, found->second.work, found->second.seconds) : at_rate(work, all, all_seconds);
  }
  return seconds;
}

}  // namespace templora
