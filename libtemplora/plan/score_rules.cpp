#include "plan/score_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/error.h"

namespace templora {
namespace {

Json list_of(const std::vector<std::optional<double>>& values) {
  Json list = Json::array();
  for (const auto& value : values) list.push_back(value ? Json(*value) : Json(nullptr));
  return list;
}

std::vector<std::optional<double>> values_of(const Json& state, const char* key, std::int64_t chunks,
                                             const std::string& where) {
  std::vector<std::optional<double>> values;
  for (const Json& value : state.at(key))
    values.push_back(value.is_null() ? std::optional<double>() : std::optional<double>(value.get<double>()));
  if (std::int64_t(values.size()) != chunks)
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted one for each of the {} chunks done", where, key,
                                             values.size(), chunks));
  return values;
}

}  // namespace

bool is_hard(const std::vector<std::optional<double>>& means, std::int64_t chunk, double quantile,
             std::int64_t always) {
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

std::optional<Window> ScoreRules::further_window(const Chunk& chunk, std::int64_t context) const {
  if (!learns_ || !train_.steps_by_gap || context <= train_.gap_context_tokens) return {};
  return window_of(chunk, train_.gap_context_tokens);
}

void ScoreRules::add(const ChunkRecord& scored) {
  means_.push_back(scored.lora_nll);
  const bool both = scored.lora_nll && scored.short_context_nll;
  gaps_.push_back(both ? std::optional(*scored.short_context_nll - *scored.lora_nll) : std::nullopt);
}

std::int64_t ScoreRules::steps(std::int64_t chunk) const {
  if (train_.hard_quantile > 0 && !is_hard(means_, chunk, train_.hard_quantile, train_.hard_after_chunks)) return 0;
  if (!train_.steps_by_gap || !gaps_[std::size_t(chunk)]) return train_.epochs;
  double sum = 0, count = 0;
  for (std::int64_t c = 0; c <= chunk; ++c)
    if (const auto gap = gaps_[std::size_t(c)]) sum += *gap, ++count;
  const double share = *gaps_[std::size_t(chunk)] / (sum / count);
  if (!(sum > 0) || !std::isfinite(share)) return train_.epochs;  // contexts that do not help say nothing
  const double most = 4.0 * double(train_.epochs);
  return std::int64_t(std::clamp(std::round(double(train_.epochs) * share), 1.0, most));
}

std::int64_t ScoreRules::expected_steps(std::int64_t place) const {
  if (train_.hard_quantile == 0 || place < train_.hard_after_chunks) return train_.epochs;
  const double share = 1 - train_.hard_quantile, nth = double(place - train_.hard_after_chunks);
  return std::floor((nth + 1) * share) > std::floor(nth * share) ? train_.epochs : 0;
}

void ScoreRules::save(Json& state) const {
  if (!ask()) return;
  state["means"] = list_of(means_);
  if (train_.steps_by_gap) state["gaps"] = list_of(gaps_);
}

void ScoreRules::restore(const Json& state, std::int64_t chunks, const std::string& where) {
  if (!ask()) return;
  means_ = values_of(state, "means", chunks, where);
  gaps_ = train_.steps_by_gap ? values_of(state, "gaps", chunks, where) : decltype(gaps_)(means_.size());
}

}  // namespace templora
