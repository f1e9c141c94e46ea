#include "plan/recall_plan.h"

#include <algorithm>

#include "config/lengths.h"

namespace templora {

RecallPlan::RecallPlan(const Config& config, const std::vector<Chunk>& chunks, const std::vector<std::int64_t>& ends)
    : after_(chunks.size()) {
  const std::int64_t window = context_tokens(config);
  for (const std::int64_t distance : config.recall.ask_after_tokens)
    for (std::size_t fact = 0; fact < ends.size(); ++fact) {
      if (ends[fact] < 0) continue;
      const std::int64_t out_of_sight = ends[fact] + window;  // the window begins behind the mention
      const auto chunk = std::find_if(chunks.begin(), chunks.end(), [&](const Chunk& c) {
        return c.end() >= out_of_sight + distance;
      });
      if (chunk != chunks.end())
        after_[std::size_t(chunk - chunks.begin())].push_back({fact, distance, chunk->end() - out_of_sight});
    }
}

std::int64_t RecallPlan::asked(std::int64_t distance_tokens) const {
  std::int64_t count = 0;
  for (const auto& facts : after_)
    count += std::count_if(facts.begin(), facts.end(),
                           [&](const AskedFact& f) { return f.distance_tokens == distance_tokens; });
  return count;
}

}  // namespace templora
