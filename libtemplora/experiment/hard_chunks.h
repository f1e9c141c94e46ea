#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace templora {

/// Whether a chunk is hard enough to be learnt (`train.hard_quantile`): its mean NLL is at least the `quantile` of
/// those of the document's earlier chunks, learnt or not. That quantile is the smallest of the earlier values that at
/// least this share of them does not exceed; nothing is interpolated, so a record's own values decide it again.
///
/// means: mean NLL of chunk 0, 1, … by the module that scored it, nats; nothing where a chunk has no scored token.
/// With fewer than `always` earlier values, or none for the chunk itself, the answer is yes.
bool is_hard(const std::vector<std::optional<double>>& means, std::int64_t chunk, double quantile, std::int64_t always);

}  // namespace templora
