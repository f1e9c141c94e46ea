#include "report/arm_price.h"

#include <set>
#include <string>

namespace templora {

ArmPrice arm_price(const RunData& run, const Json& summary, bool adapter) {
  static const std::set<std::string> kOfBase{"score_base", "recompute_base"},
      kOfOthers{"score_controls", "train_controls", "staleness", "neural_cache", "read"};
  ArmPrice price;
  const auto add = [](std::optional<double>& sum, double value) { sum = sum.value_or(0) + value; };
  const auto counts = [&](const std::string& phase) {
    return !kOfOthers.contains(phase) && kOfBase.contains(phase) != adapter;
  };
  std::int64_t tokens = 0;
  for (const ChunkRecord& chunk : run.chunks) {
    tokens += chunk.tokens;
    for (const auto& [phase, seconds] : chunk.seconds)
      if (counts(phase)) add(price.seconds, seconds);
  }
  const auto cost = summary.find("cost");
  if (cost != summary.end() && cost->contains("phases"))
    for (const auto& [phase, numbers] : cost->at("phases").items())
      if (counts(phase) && numbers.contains("flops") && numbers.at("flops").is_number())
        add(price.flops, numbers.at("flops").get<double>());
  for (auto* value : {&price.flops, &price.seconds})
    if (*value && tokens > 0) **value /= static_cast<double>(tokens);
  return price;
}

}  // namespace templora
