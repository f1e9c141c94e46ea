#include "experiment/standing_prefix.h"

#include <algorithm>
#include <optional>

#include "experiment/chunk_values.h"

namespace templora {

StandingPrefix::StandingPrefix(LlamaImpl& model, const Config& config)
    : model_(model),
      by_base_(config.lora.rows == AdapterRows::chunk),
      cache_(model, {1, std::max<std::int64_t>(1, config.train.prefix_tokens), false,
                     config.cache.prefill_block_tokens}) {}

at::Tensor StandingPrefix::nll(std::span<const std::int64_t> window, std::int64_t labelled) {
  // The row before the first labelled token predicts it, so it is one of the chunk's.
  const std::size_t held = window.size() - std::size_t(labelled) - 1;
  cache_.truncate(0, 0);
  if (held > 0) {
    std::optional<AdapterOff> off;
    if (by_base_) off.emplace(model_);
    cache_.append(model_, {{0, {window.begin(), window.begin() + std::ptrdiff_t(held)}}}, Rows::none, 0);
  }
  return token_nll_behind(model_, ids_on(model_.options().device(), window.subspan(held)), cache_.slots(),
                          std::int64_t(held));
}

}  // namespace templora
