#include "report/report_table.h"

#include <fmt/format.h>

#include <algorithm>
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

Presented presented(const ReportTable& table) {
  Presented out;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    const auto text = [&](std::size_t r) { return shown(table.rows[r][c], column); };
    bool same = !table.rows.empty() && (column.key || column.name.empty());
    for (std::size_t r = 1; same && r < table.rows.size(); ++r) same = text(r) == text(0);
    if (!same)
      out.columns.push_back(c);
    else if (text(0) != kDash)
      out.above.emplace_back(column.head, text(0));
  }
  if (!out.columns.empty()) return out;
  for (std::size_t c = 0; c < table.columns.size(); ++c) out.columns.push_back(c);
  out.above.clear();
  return out;
}

std::string above_text(const Presented& shown) {
  std::string out;
  for (const auto& [head, text] : shown.above)
    out += fmt::format("{}{} {}", out.empty() ? "" : " · ", head, text);
  return out;
}

std::string head_of(const ReportTable& table, std::size_t c) {
  const Column& column = table.columns[c];
  const bool any = std::any_of(table.rows.begin(), table.rows.end(),
                               [c](const std::vector<Cell>& row) { return row[c].low && row[c].high; });
  return any && !column.over.empty() ? fmt::format("{} [95 % over {}]", column.head, column.over) : column.head;
}

void leave_out_unknown_paper(ReportTable& table) {
  const auto known = [&](std::size_t c) {
    return std::any_of(table.rows.begin(), table.rows.end(),
                       [&](const std::vector<Cell>& row) { return shown(row[c], table.columns[c]) != kDash; });
  };
  const char* const versions = "paper version";
  std::string unknown;
  std::size_t values = 0;
  bool named = false;
  std::vector<std::size_t> out;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    const Column& column = table.columns[c];
    if (!column.paper) continue;
    const bool of_versions = column.head == versions;
    named |= of_versions && known(c);
    if (known(c)) {
      values += !of_versions;
      continue;
    }
    out.push_back(c);
    if (!of_versions) unknown += (unknown.empty() ? "" : ", ") + column.head.substr(std::string("paper ").size());
  }
  for (std::size_t c = table.columns.size(); values == 0 && c-- > 0;)
    if (table.columns[c].head == versions && std::find(out.begin(), out.end(), c) == out.end()) out.push_back(c);
  std::sort(out.begin(), out.end());
  for (auto c = out.rbegin(); c != out.rend(); ++c) {
    table.columns.erase(table.columns.begin() + static_cast<std::ptrdiff_t>(*c));
    for (auto& row : table.rows) row.erase(row.begin() + static_cast<std::ptrdiff_t>(*c));
  }
  if (!unknown.empty() && (named || values > 0))
    table.note += fmt::format("{}What the paper has for these rows is unknown of: {}.", table.note.empty() ? "" : " ",
                              unknown);
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
