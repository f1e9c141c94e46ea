#include "report/report_formats.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/markdown.h"

namespace templora {
namespace {

constexpr std::size_t kMostNamed = 12;  // runs that a footer names one by one

Json cell_json(const Cell& cell) {
  Json json = Json::object();
  if (!cell.text.empty()) json["text"] = cell.text;
  json["value"] = optional_json(cell.value);
  if (cell.low && cell.high) json["low"] = *cell.low, json["high"] = *cell.high, json["method"] = cell.method;
  if (cell.seed_sd) json["seed_sd"] = *cell.seed_sd, json["seeds"] = cell.seeds;
  if (cell.books > 0) json["books"] = cell.books;
  if (cell.tokens > 0) json["tokens"] = cell.tokens;
  for (const PaperValue& paper : cell.paper)
    json["paper"].push_back({{"version", paper.version}, {"value", optional_json(paper.value)}});
  for (const std::size_t run : cell.runs) json["runs"].push_back(run + 1);
  return json;
}

}  // namespace

bool names_runs(const ReportTable& table) { return table.id == "runs" || table.id.starts_with("differences_"); }

std::string sources_line(const Report& report, const ReportTable& table) {
  const std::vector<std::size_t> behind = runs_behind(table);
  std::string out;
  for (std::size_t i = 0; i < behind.size(); ++i) {
    if (i == kMostNamed && behind.size() > kMostNamed + 1)
      return out + fmt::format(" and {} more, see Runs", behind.size() - kMostNamed);
    const RunSummary& run = report.runs[behind[i]];
    out += fmt::format("{}{} (config {})", out.empty() ? "" : ", ", run.name, run.config_hash());
  }
  return out;
}

std::string report_markdown(const Report& report) {
  std::string out = fmt::format("# Temp-LoRA report{}{}\n", report.subject.empty() ? "" : ": ",
                                as_written(report.subject));
  for (const std::string& answer : report.answers) out += fmt::format("\n**{}**\n", as_written(answer, kLongText));
  for (const std::string& remark : report.remarks) out += "\n> " + as_written(remark, kLongText) + "\n";
  for (const ReportTable& table : report.tables) {
    const Presented shape = presented(table);
    out += fmt::format("\n## {}\n\n", as_written(table.title));
    if (!shape.above.empty()) out += as_written(above_text(shape), kLongText) + "\n\n";
    out += "|";
    std::string line = "|";
    for (const std::size_t c : shape.columns) {
      out += fmt::format(" {} |", as_written(head_of(table, c)));
      line += table.columns[c].key ? " --- |" : " ---: |";
    }
    out += "\n" + line + "\n";
    for (const auto& row : table.rows) {
      out += "|";
      for (const std::size_t c : shape.columns)
        out += fmt::format(" {} |", as_written(shown(row[c], table.columns[c])));
      out += "\n";
    }
    if (!table.note.empty()) out += fmt::format("\n{}\n", table.note);
    if (!names_runs(table)) out += fmt::format("\nFrom {}.\n", as_written(sources_line(report, table), kLongText));
  }
  return out;
}

Json report_json(const Report& report) {
  Json runs = Json::array(), tables = Json::array();
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    const RunSummary& run = report.runs[i];
    runs.push_back({{"run", i + 1},
                    {"name", run.name},
                    {"folder", run.folder.string()},
                    {"finished", run.finished},
                    {"experiment", run.experiment()},
                    {"config_hash", run.config_hash()},
                    {"values", run.combinations.empty() ? Json::object() : Json(run.combinations.front())},
                    {"seconds", run.seconds},
                    {"tokens", run.tokens}});
    if (run.combinations.size() > 1) runs.back()["combinations"] = run.combinations;
    if (!run.problem.empty()) runs.back()["problem"] = run.problem;
  }
  for (const ReportTable& table : report.tables) {
    Json columns = Json::array(), rows = Json::array();
    for (const Column& column : table.columns) {
      columns.push_back({{"head", column.head}, {"name", column.name}, {"setting", column.key}});
      if (!column.over.empty()) columns.back()["interval"] = "95 % over " + column.over;
      for (const auto& [key, value] : column.keys) columns.back()["keys"][key] = value;
    }
    for (const auto& row : table.rows) {
      Json cells = Json::array();
      for (const Cell& cell : row) cells.push_back(cell_json(cell));
      rows.push_back(std::move(cells));
    }
    tables.push_back(
        {{"id", table.id}, {"title", table.title}, {"columns", columns}, {"rows", rows}, {"note", table.note}});
    for (const auto& [key, value] : table.keys) tables.back()["keys"][key] = value;
  }
  return {{"subject", report.subject},
          {"answers", report.answers},
          {"runs", runs},
          {"tables", tables},
          {"remarks", report.remarks}};
}

}  // namespace templora
