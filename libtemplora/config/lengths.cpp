#include "config/lengths.h"

#include <algorithm>

namespace templora {

std::int64_t context_tokens(const Config& config) {
  return config.window.context_tokens.value_or(config.train.prefix_tokens);
}

std::int64_t window_tokens(const Config& config) {
  return config.cache.window_tokens.value_or(context_tokens(config) + config.window.chunk_tokens);
}

std::int64_t first_chunk_tokens(const Config& config) {
  const std::int64_t chunk = config.window.chunk_tokens;
  return config.experiment == ExperimentKind::perplexity ? config.window.first_chunk_tokens.value_or(chunk) : chunk;
}

std::int64_t longest_chunk_tokens(const Config& config) {
  return std::max(config.window.chunk_tokens, config.window.first_chunk_tokens.value_or(0));
}

bool fits_one_window(const Config& config, std::int64_t tokens) {
  return tokens <= context_tokens(config) + config.window.chunk_tokens;
}

bool reads_through_cache(const Config& config) {
  return config.cache.policy != CachePolicy::rebuild || config.lora.rows == AdapterRows::chunk;
}

bool learns_other_texts(const Config& config) {
  return std::any_of(config.control.begin(), config.control.end(),
                     [](Control control) { return control != Control::shuffled_words; });
}

double training_dropout(const LoraConfig& lora) { return lora.low_rank() ? lora.dropout : 0; }

std::int64_t training_lag(const Config& config) {
  const bool both =
      config.experiment == ExperimentKind::generation && config.generate.schedule == Schedule::parallelized;
  return both ? 1 : config.train.lag_chunks;
}

}  // namespace templora
