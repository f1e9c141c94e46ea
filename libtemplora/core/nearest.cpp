#include "core/nearest.h"

#include <algorithm>
#include <numeric>
#include <string_view>

#include "core/error.h"

namespace templora {
namespace {

std::string_view last_component(std::string_view key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

}  // namespace

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

std::string nearest_name(const std::string& key, const std::vector<std::string>& candidates) {
  if (candidates.empty())
    throw Error(Exit::usage, printable(key) + ": got this name, but there is nothing to choose from");
  const auto distance = [&](const std::string& candidate) {
    const std::size_t whole = edit_distance(key, candidate);
    const std::size_t last = edit_distance(last_component(key), last_component(candidate));
    return std::pair(std::min(whole, last), whole);
  };
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&](const std::string& a, const std::string& b) { return distance(a) < distance(b); });
}

}  // namespace templora
