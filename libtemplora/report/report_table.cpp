#include "report/report_table.h"

#include <fmt/format.h>

#include <set>

#include "report/markdown.h"

namespace templora {

std::string shown(const Cell& cell, const Column& column) {
  if (!cell.value) return cell.text.empty() ? kDash : cell.text;
  const auto number = [&](double value) {
    return fmt::format(fmt::runtime(cell.format.empty() ? column.format : cell.format), value);
  };
  std::string out = number(*cell.value);
  if (cell.low && cell.high) out += fmt::format(" [{}, {}]", number(*cell.low), number(*cell.high));
  if (cell.seed_sd && *cell.seed_sd > 0) out += fmt::format(" ± {:.2g}", *cell.seed_sd);
  return out;
}

std::string shown(const std::vector<PaperValue>& values, const char* format) {
  std::string out;
  for (const PaperValue& paper : values)
    if (paper.value)
      out += fmt::format("{}{}{}", out.empty() ? "" : "; ", fmt::format(fmt::runtime(format), *paper.value),
                         paper.version.empty() ? "" : " (" + paper.version + ")");
  return out.empty() ? kDash : out;
}

std::vector<std::size_t> runs_behind(const ReportTable& table) {
  std::set<std::size_t> found;
  for (const auto& row : table.rows)
    for (const Cell& cell : row) found.insert(cell.runs.begin(), cell.runs.end());
  return {found.begin(), found.end()};
}

}  // namespace templora
