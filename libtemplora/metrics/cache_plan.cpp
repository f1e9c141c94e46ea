#include "metrics/cache_plan.h"

#include <algorithm>

namespace templora {

CachePlan::CachePlan(const Config& config) : config_(config), window_tokens_(window_tokens(config)) {}

std::int64_t CachePlan::first_piece(const Config& config) {
  const std::int64_t chunk = config.window.chunk_tokens;
  return config.experiment == ExperimentKind::perplexity ? std::max(chunk, config.window.first_chunk_tokens.value_or(chunk)) : chunk;
}

std::int64_t CachePlan::context_tokens(const Config& config) {
  return config.window.context_tokens.value_or(config.train.prefix_tokens);
}

std::int64_t CachePlan::window_tokens(const Config& config) {
  return config.cache.window_tokens.value_or(context_tokens(config) + config.window.chunk_tokens);
}

std::int64_t CachePlan::capacity(const Config& config) {
  const std::int64_t chunk = std::max(config.window.chunk_tokens, config.window.first_chunk_tokens.value_or(config.window.chunk_tokens));
  switch (config.cache.policy) {
    case CachePolicy::rebuild: return context_tokens(config) + chunk;
    case CachePolicy::refill: return std::max(window_tokens(config), config.cache.refill_tokens + chunk);
    case CachePolicy::every_k: return context_tokens(config) + config.cache.rebuild_every_chunks * chunk;
    case CachePolicy::last_n: return std::max(window_tokens(config), chunk);
  }
  return 0;
}

std::vector<Fed> CachePlan::open(std::int64_t end, std::int64_t next) {
  std::vector<Fed> fed;
  if (end == 0) {
    ++chunks_since_rebuild_;
    return fed;
  }
  const std::int64_t begin = visible_ == 0 ? 0 : end_ - visible_;  // of what is in sight, where it is in one piece
  bool rebuilds = false;
  switch (config_.cache.policy) {
    case CachePolicy::rebuild: rebuilds = true; break;
    case CachePolicy::refill: rebuilds = end - begin + next > window_tokens_; break;
    case CachePolicy::every_k:
      rebuilds = chunks_since_rebuild_ >= config_.cache.rebuild_every_chunks || end - begin > capacity(config_) - next;
      break;
    case CachePolicy::last_n: break;
  }
  if (rebuilds) {
    const std::int64_t kept =
        std::min(end, config_.cache.policy == CachePolicy::refill ? config_.cache.refill_tokens : context_tokens(config_));
    visible_ = std::min<std::int64_t>(kept, 1);
    end_ = end - kept + visible_;
    if (kept > 0) feed(end, fed);
    chunks_since_rebuild_ = 0;
  } else {
    feed(end, fed);
  }
  if (config_.cache.policy == CachePolicy::last_n) trim(next);
  ++chunks_since_rebuild_;
  return fed;
}

void CachePlan::feed(std::int64_t end, std::vector<Fed>& fed) {
  if (visible_ == 0) visible_ = end_ = 1;
  const bool pieces = config_.cache.policy == CachePolicy::last_n;
  while (end_ < end) {
    const std::int64_t chunk = config_.window.chunk_tokens;
    const std::int64_t piece = end_ == 1 ? first_piece(config_) : chunk;
    const std::int64_t to = pieces ? std::min(end, end_ + piece) : end;
    if (pieces) trim(to - end_);
    fed.push_back({to - end_, held()});
    written(to);
  }
}

void CachePlan::trim(std::int64_t next) { visible_ = std::min(visible_, std::max<std::int64_t>(window_tokens_ - next, 1)); }

void CachePlan::assume_read(std::int64_t end) {
  visible_ = std::min(end, window_tokens_);
  end_ = end;
}

void CachePlan::written(std::int64_t end) {
  visible_ += end - end_;
  end_ = end;
}

Fed CachePlan::score(std::int64_t first, std::int64_t count) {
  const Fed fed{visible_ == 0 ? count - 1 : count, held()};
  if (visible_ == 0) end_ = first;
  written(first + count);
  return fed;
}

}  // namespace templora
