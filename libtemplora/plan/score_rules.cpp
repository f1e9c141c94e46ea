#include "plan/score_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/error.h"

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

std::int64_t ScoreRules::steps(std::int64_t chunk) const {
  if (train_.hard_quantile > 0 && !is_hard(means_, chunk, train_.hard_quantile, train_.hard_after_chunks)) return 0;
  return train_.epochs;
}

std::int64_t ScoreRules::expected_steps(std::int64_t place) const {
  if (train_.hard_quantile == 0 || place < train_.hard_after_chunks) return train_.epochs;
  const double share = 1 - train_.hard_quantile, nth = double(place - train_.hard_after_chunks);
  return std::floor((nth + 1) * share) > std::floor(nth * share) ? train_.epochs : 0;
}

void ScoreRules::save(Json& state) const {
  if (!ask()) return;
  Json& means = state["means"] = Json::array();
  for (const auto& mean : means_) means.push_back(mean ? Json(*mean) : Json(nullptr));
}

void ScoreRules::restore(const Json& state, std::int64_t chunks, const std::string& where) {
  means_.clear();
  if (!ask()) return;
  for (const Json& mean : state.at("means"))
    means_.push_back(mean.is_null() ? std::optional<double>() : std::optional<double>(mean.get<double>()));
  if (std::int64_t(means_.size()) != chunks)
    throw Error(Exit::bad_input, fmt::format("{}: means: got {}, wanted one for each of the {} chunks done", where,
                                             means_.size(), chunks));
}

}  // namespace templora
