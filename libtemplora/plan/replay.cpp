#include "plan/replay.h"

#include <algorithm>
#include <cmath>
#include <random>

namespace templora {

std::vector<ReplayPiece> replay_pieces(const Config& config, const DocumentPlan& plan, std::int64_t document,
                                       std::int64_t index, std::int64_t steps) {
  const double share = config.train.replay_share;
  const PlannedChunk& planned = plan[index];
  const std::int64_t earlier = std::min(planned.place, index);  // one adapter may have read other documents before
  if (share == 0 || earlier == 0) return {};
  const auto wanted = std::int64_t(std::llround(share / (1 - share) * double(planned.segment.labelled)));
  const auto low = [](std::int64_t number) { return std::uint32_t(std::uint64_t(number) & 0xffffffffu); };
  std::seed_seq seed{low(config.seed), low(config.seed >> 32), low(document), low(index)};
  std::mt19937_64 random(seed);
  std::vector<ReplayPiece> pieces;
  for (std::int64_t step = 0; step < steps; ++step) {
    // The standard's distributions may differ from one library to the next: a remainder does not.
    const auto below = [&](std::int64_t count) { return std::int64_t(random() % std::uint64_t(count)); };
    ReplayPiece piece{index - earlier + below(earlier), 0, 0};
    const std::int64_t there = plan[piece.chunk].chunk.count;
    piece.tokens = std::clamp<std::int64_t>(wanted, 1, there);
    piece.offset = below(there - piece.tokens + 1);
    pieces.push_back(piece);
  }
  return pieces;
}

}  // namespace templora
