// Where the numbers come from: runs, machines, inputs, and how the configs differ.

#include <fmt/format.h>

#include <numeric>
#include <set>

#include "report/report.h"
#include "report/run_groups.h"
#include "run/json_lines.h"

namespace templora {
namespace {

std::string text_at(const Json& json, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!json.contains(at)) return "";
  const Json& value = json.at(at);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? "" : value.dump();
}

std::string state_of(const RunSummary& run) {
  if (run.finished) return "finished";
  return run.problem.empty() ? "unfinished" : "unfinished: " + run.problem;
}

ReportTable runs_table(const std::vector<RunSummary>& runs) {
  ReportTable table{
      "runs",
      "Runs",
      "Every number above names its runs by these numbers. The folder's records are enough to compute it again.",
      {},
      {},
      {}};
  for (const auto& [head, name] : {std::pair{"run", "run"},
                                   {"folder", "folder"},
                                   {"state", "state"},
                                   {"experiment", "experiment"},
                                   {"config", "config_hash"},
                                   {"weights", "weights_hash"},
                                   {"texts", "texts_hash"},
                                   {"seed", "seed"},
                                   {"templora", "templora_version"},
                                   {"torch", "torch_version"},
                                   {"device", "device"},
                                   {"processor", "processor"},
                                   {"instructions", "cpu_capability"},
                                   {"threads", "threads"}})
    table.columns.push_back(Column::setting(head, name));
  table.columns.push_back(Column::of("peak memory [MB]", "peak_rss_mb", "{:.0f}"));
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const RunSummary& run = runs[i];
    const Json& r = run.record;
    std::vector<Cell> row;
    for (const std::string& text :
         {std::to_string(i + 1), run.name, state_of(run), run.experiment(), run.config_hash(), run.setting("weights"),
          run.setting("texts"), run.setting("seed"), text_at(r, "/templora_version"),
          text_at(r, "/identity/torch_version"), text_at(r, "/identity/device"), text_at(r, "/processor"),
          text_at(r, "/identity/cpu_capability"), text_at(r, "/identity/threads")})
      row.push_back(Cell::of(text));
    const std::optional<double> peak = number_at(run.summary, "/peak_rss_bytes");
    row.push_back(Cell::of(peak ? std::optional(*peak / 1e6) : std::nullopt));
    for (Cell& cell : row) cell.runs = {i};
    table.rows.push_back(std::move(row));
  }
  return table;
}

/// One column a key whose values differ; none where the runs' configs are equal.
std::vector<ReportTable> differences(const std::vector<RunSummary>& runs) {
  std::set<std::string> experiments;
  for (const RunSummary& run : runs) experiments.insert(run.experiment());
  std::vector<ReportTable> tables;
  for (const std::string& experiment : experiments) {
    std::vector<std::size_t> among;
    std::set<std::string> seeds;
    for (std::size_t i = 0; i < runs.size(); ++i)
      if (runs[i].experiment() == experiment) among.push_back(i), seeds.insert(runs[i].setting("seed"));
    std::vector<std::string> keys = differing_keys(runs, among);
    if (seeds.size() > 1) keys.push_back("seed");
    if (keys.empty()) continue;
    ReportTable table{"differences_" + experiment,
                      "How the configs differ: " + experiment,
                      "Keys that have the same value in all runs are left out, and so are those that say what one of "
                      "these says already.",
                      {},
                      {Column::setting("run", "run"), Column::setting("config", "config_hash")},
                      {}};
    for (const std::string& key : keys) table.columns.push_back(Column::setting(key, key));
    for (const std::size_t i : among) {
      std::vector<Cell> row{Cell::of(std::to_string(i + 1)), Cell::of(runs[i].config_hash())};
      for (const std::string& key : keys)
        row.push_back(Cell::of(runs[i].setting(key).empty() ? "null" : runs[i].setting(key)));
      for (Cell& cell : row) cell.runs = {i};
      table.rows.push_back(std::move(row));
    }
    tables.push_back(std::move(table));
  }
  return tables;
}

}  // namespace

std::vector<ReportTable> provenance_tables(const std::vector<RunSummary>& runs) {
  std::vector<ReportTable> tables{runs_table(runs)};
  for (ReportTable& table : differences(runs)) tables.push_back(std::move(table));
  for (ReportTable& table : tables) table.aside = true;
  return tables;
}

}  // namespace templora
