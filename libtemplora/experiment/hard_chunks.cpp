#include "experiment/hard_chunks.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"

namespace templora {

bool is_hard(const std::vector<std::optional<double>>& means, std::int64_t chunk, double quantile, std::int64_t always) {
  TEMPLORA_CHECK(chunk >= 0 && chunk < std::int64_t(means.size()), "a chunk is judged after it was scored");
  const std::optional<double> own = means[std::size_t(chunk)];
  std::vector<double> earlier;
  for (std::int64_t c = 0; c < chunk; ++c)
    if (means[std::size_t(c)]) earlier.push_back(*means[std::size_t(c)]);
  if (!own || std::int64_t(earlier.size()) < always) return true;
  const auto rank = std::max<std::int64_t>(1, std::int64_t(std::ceil(quantile * double(earlier.size()))));
  std::nth_element(earlier.begin(), earlier.begin() + (rank - 1), earlier.end());
  return *own >= earlier[std::size_t(rank - 1)];
}

}  // namespace templora
