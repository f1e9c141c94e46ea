#include "plan/window_lengths.h"

#include <algorithm>

#include "config/config_rules.h"
#include "config/lengths.h"
#include "config/windows.h"
#include "plan/cache_plan.h"

namespace templora {
namespace {

bool slides(const Config& config) {
  return config.cache.policy == CachePolicy::refill || config.cache.policy == CachePolicy::last_n;
}

bool mixes_books(const Config& config) {
  return std::count(config.control.begin(), config.control.end(), Control::mixed_books) > 0;
}

bool has_room(const Config& config, std::int64_t positions) {
  const std::vector<WindowLength> lengths = window_lengths(config);
  return std::all_of(lengths.begin(), lengths.end(), [&](const auto& length) { return length.tokens <= positions; });
}

bool keeps_rules(const Config& config) {
  Mistakes mistakes([](const std::string&) { return ""; });
  check_rules(config, mistakes);
  return mistakes.none();
}

void shorten(Config& c, std::int64_t positions) {
  std::int64_t& chunk = c.window.chunk_tokens;
  if (chunk > positions / 2) chunk = windows_for(positions).chunk_tokens;
  if (slides(c)) {
    if (c.cache.window_tokens) *c.cache.window_tokens = std::min(*c.cache.window_tokens, positions);
    if (c.cache.policy == CachePolicy::refill) {
      chunk = std::min(chunk, std::max<std::int64_t>(1, positions / 4));
      c.cache.refill_tokens = std::min(c.cache.refill_tokens, std::max<std::int64_t>(1, positions - 2 * chunk));
    }
  }
  std::int64_t room = positions - chunk;
  if (c.cache.policy == CachePolicy::every_k) {
    chunk = std::min(chunk, std::max<std::int64_t>(1, positions / (c.cache.rebuild_every_chunks + 1)));
    room = positions - c.cache.rebuild_every_chunks * chunk;
  }
  std::int64_t& prefix = c.train.prefix_tokens;
  c.window.context_tokens = std::min(context_tokens(c), room);
  prefix = std::min(prefix, positions - chunk);
  std::optional<std::int64_t>& first = c.window.first_chunk_tokens;
  if (first && (*first > positions || (mixes_books(c) && *first + prefix > positions) ||
                (c.cache.policy == CachePolicy::every_k && *first > chunk)))
    first = chunk;
}

}  // namespace

std::vector<WindowLength> window_lengths(const Config& config) {
  const std::int64_t chunk = config.window.chunk_tokens, first = config.window.first_chunk_tokens.value_or(chunk);
  const std::int64_t prefix = config.train.prefix_tokens;
  std::vector<WindowLength> lengths{
      {"window.context_tokens + window.chunk_tokens", context_tokens(config) + chunk},
      {"window.first_chunk_tokens", first}};
  if (config.score.adapter && config.train.enabled)
    lengths.push_back({"train.prefix_tokens + window.chunk_tokens", prefix + chunk});
  // The first of the drawn segments is as long as the first chunk, and stands in mid-text.
  if (mixes_books(config))
    lengths.push_back({"train.prefix_tokens + window.first_chunk_tokens (beside control \"mixed_books\")",
                       prefix + first});
  if (config.cache.policy == CachePolicy::every_k)
    lengths.push_back(
        {"window.context_tokens + cache.rebuild_every_chunks * window.chunk_tokens (or first_chunk_tokens)",
         CachePlan::capacity(config)});
  if (slides(config)) lengths.push_back({"cache.window_tokens", window_tokens(config)});
  return lengths;
}

std::vector<std::pair<std::string, std::int64_t>> fitting_windows(const Config& config, std::int64_t positions) {
  if (has_room(config, positions)) return {};
  Config fit = config;
  shorten(fit, positions);
  if (!has_room(fit, positions) || !keeps_rules(fit)) return {};
  std::vector<std::pair<std::string, std::int64_t>> changes;
  const auto change = [&](const char* key, std::int64_t from, std::int64_t to) {
    if (from != to) changes.emplace_back(key, to);
  };
  const std::int64_t chunk = config.window.chunk_tokens, first = config.window.first_chunk_tokens.value_or(chunk);
  change("window.chunk_tokens", chunk, fit.window.chunk_tokens);
  change("window.context_tokens", context_tokens(config), context_tokens(fit));
  if (first != chunk || config.fidelity == Fidelity::official)  // else it is as long as the others by itself
    change("window.first_chunk_tokens", first, fit.window.first_chunk_tokens.value_or(fit.window.chunk_tokens));
  change("train.prefix_tokens", config.train.prefix_tokens, fit.train.prefix_tokens);
  change("cache.window_tokens", config.cache.window_tokens.value_or(0), fit.cache.window_tokens.value_or(0));
  change("cache.refill_tokens", config.cache.refill_tokens, fit.cache.refill_tokens);
  return changes;
}

}  // namespace templora
