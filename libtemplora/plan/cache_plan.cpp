#include "plan/cache_plan.h"

#include <algorithm>

#include "config/lengths.h"

namespace templora {

std::int64_t CachePlan::capacity(const Config& config) {
  const std::int64_t chunk = longest_chunk_tokens(config);
  switch (config.cache.policy) {
    case CachePolicy::rebuild: return context_tokens(config) + chunk;
    case CachePolicy::refill: return std::max(window_tokens(config), config.cache.refill_tokens + chunk);
    case CachePolicy::every_k: return context_tokens(config) + config.cache.rebuild_every_chunks * chunk;
    case CachePolicy::last_n: return std::max(window_tokens(config), chunk);
  }
  return 0;
}

bool CachePlan::rebuilds(std::int64_t end, std::int64_t next) const {
  const std::int64_t seen =
      end - (visible_ == 0 ? 0 : end_ - visible_);  // what would be in sight, where it is in one piece
  switch (config_->cache.policy) {
    case CachePolicy::rebuild: return true;
    case CachePolicy::refill: return seen + next > window_tokens(*config_);
    case CachePolicy::every_k:
      return chunks_since_rebuild_ >= config_->cache.rebuild_every_chunks || seen + next > capacity(*config_);
    case CachePolicy::last_n: return false;
  }
  return true;
}

std::vector<CacheStep> CachePlan::open(std::int64_t end, std::int64_t next) {
  std::vector<CacheStep> steps;
  if (end > 0 && rebuilds(end, next)) {
    const bool refills = config_->cache.policy == CachePolicy::refill;
    const std::int64_t kept = std::min(end, refills ? config_->cache.refill_tokens : context_tokens(*config_));
    steps.push_back({CacheStep::Kind::forget, 0, 0, held()});
    visible_ = 0;
    if (kept > 0) start(end - kept, steps);
    chunks_since_rebuild_ = 0;
  } else if (end > 0 && visible_ == 0) {
    start(0, steps);
  }
  if (visible_ > 0) feed(end, steps);
  if (end > 0 && config_->cache.policy == CachePolicy::last_n) trim(next, steps);
  ++chunks_since_rebuild_;
  return steps;
}

void CachePlan::start(std::int64_t first, std::vector<CacheStep>& steps) {
  steps.push_back({CacheStep::Kind::start, first, 0, 0});
  visible_ = 1;
  end_ = first + 1;
}

// With last_n a text that was not read chunk by chunk, such as a prompt, is fed as if it had been.
void CachePlan::feed(std::int64_t end, std::vector<CacheStep>& steps) {
  const bool pieces = config_->cache.policy == CachePolicy::last_n;
  while (end_ < end) {
    const std::int64_t chunk = config_->window.chunk_tokens;
    const std::int64_t piece = end_ == 1 ? std::max(chunk, first_chunk_tokens(*config_)) : chunk;
    const std::int64_t to = pieces ? std::min(end, end_ + piece) : end;
    if (pieces) trim(to - end_, steps);
    steps.push_back({CacheStep::Kind::feed, end_ - 1, to - end_, held()});
    written(to);
  }
}

// Drops the middle so that `next` tokens more still fit into the window.
void CachePlan::trim(std::int64_t next, std::vector<CacheStep>& steps) {
  const std::int64_t allowed = std::max<std::int64_t>(window_tokens(*config_) - next, 1);
  if (visible_ <= allowed) return;
  steps.push_back(
      {CacheStep::Kind::drop, std::min(config_->cache.sink_tokens, allowed - 1), visible_ - allowed, held()});
  visible_ = allowed;
}

std::vector<CacheStep> CachePlan::score(const Chunk& chunk) {
  std::vector<CacheStep> steps;
  if (visible_ == 0) start(chunk.first, steps);
  if (chunk.end() > end_) steps.push_back({CacheStep::Kind::feed, end_ - 1, chunk.end() - end_, held()});
  written(chunk.end());
  return steps;
}

void CachePlan::written(std::int64_t end) {
  visible_ += end - end_;
  end_ = end;
}

void CachePlan::restore(std::int64_t visible, std::int64_t end, std::int64_t chunks_since_rebuild) {
  visible_ = visible;
  end_ = end;
  chunks_since_rebuild_ = chunks_since_rebuild;
}

void CachePlan::assume_read(std::int64_t end) { restore(std::min(end, window_tokens(*config_)), end, 0); }

std::vector<CacheStep> fresh_steps(const Config& config, const std::vector<Chunk>& chunks, std::size_t index,
                                   std::int64_t visible) {
  if (visible < 2) return {};
  const Chunk& chunk = chunks[index];
  CachePlan fresh(config);
  std::vector<CacheStep> steps;
  const auto add = [&](const std::vector<CacheStep>& more) { steps.insert(steps.end(), more.begin(), more.end()); };
  if (config.cache.policy == CachePolicy::last_n) {
    for (std::size_t i = 0; i <= index; ++i) add(fresh.open(i == 0 ? 0 : chunks[i - 1].end(), chunks[i].count));
  } else {
    const std::int64_t first = chunk.first - visible;
    steps = {{CacheStep::Kind::start, first, 0, 0}, {CacheStep::Kind::feed, first, visible - 1, 0}};
    fresh.restore(visible, chunk.first, 0);
  }
  add(fresh.score(chunk));
  return steps;
}

}  // namespace templora
