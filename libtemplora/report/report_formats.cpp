#include "report/report_formats.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/markdown.h"

namespace templora {
namespace {

constexpr std::size_t kMostNamed = 12;  // runs that a footer names one by one

std::string latex_cell(const std::string& text) {
  // Numbers get a real minus sign.
  const bool number =
      text.size() > 1 && text[0] == '-' && text.find_first_not_of("0123456789.,e+", 1) == std::string::npos;
  return number ? "$" + text + "$" : latex_escaped(text);
}

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
  std::string out = "# Temp-LoRA report\n";
  for (const std::string& remark : report.remarks) out += "\n> " + escaped(remark, kLongText) + "\n";
  for (const ReportTable& table : report.tables) {
    out += fmt::format("\n## {}\n\n|", escaped(table.title));
    std::string line = "|";
    for (const Column& column : table.columns) {
      out += fmt::format(" {} |", escaped(column.head));
      line += column.key ? " --- |" : " ---: |";
    }
    out += "\n" + line + "\n";
    for (const auto& row : table.rows) {
      out += "|";
      for (std::size_t c = 0; c < row.size(); ++c)
        out += fmt::format(" {} |", escaped(shown(row[c], table.columns[c])));
      out += "\n";
    }
    if (!table.note.empty()) out += fmt::format("\n{}\n", table.note);
    if (!names_runs(table)) out += fmt::format("\nFrom {}.\n", escaped(sources_line(report, table), kLongText));
  }
  return out;
}

std::string latex_escaped(const std::string& raw) {
  const std::string text = printable(raw, kLongText);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto starts = [&](const char* symbol) {
      return text.compare(i, std::char_traits<char>::length(symbol), symbol) == 0;
    };
    if (c == '\\') out += "\\textbackslash{}";
    else if (c == '[' || c == '*') out += fmt::format("{{{}}}", c);  // behind a line's end they would belong to it
    else if (c == '~') out += "\\textasciitilde{}";
    else if (c == '^') out += "\\textasciicircum{}";
    else if (c == '<' || c == '>' || c == '|')
      out += fmt::format("\\ensuremath{{{}}}", c == '|' ? "\\vert" : std::string(1, c));
    else if (std::string_view("&%$#_{}").find(c) != std::string_view::npos) out += fmt::format("\\{}", c);
    else if (starts("Δ")) out += "$\\Delta$", i += 1;
    else if (starts("Σ")) out += "$\\Sigma$", i += 1;
    else if (starts("·")) out += "$\\cdot$", i += 1;
    else if (starts("±")) out += "$\\pm$", i += 1;
    else if (starts("×")) out += "$\\times$", i += 1;
    else if (starts("–")) out += "--", i += 2;
    else if (starts("†")) out += "$\\dagger$", i += 2;
    else if (starts("…")) out += "\\dots{}", i += 2;
    else out += c;
  }
  return out;
}

std::string report_latex(const Report& report) {
  std::string out = "% Needs \\usepackage{booktabs} and, for wide tables, \\usepackage{graphicx}.\n";
  for (const std::string& remark : report.remarks) out += "% " + printable(remark, 1000) + "\n";
  for (const ReportTable& table : report.tables) {
    std::string layout;
    for (const Column& column : table.columns) layout += column.key ? 'l' : 'r';
    out += fmt::format(
        "\n% {}: from "
        "{}\n\\begin{{table}}\n\\centering\n\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{"
        "{%\n\\begin{{tabular}}{{{}}}\n\\toprule\n",
        table.id, printable(sources_line(report, table), 4000), layout);
    for (std::size_t c = 0; c < table.columns.size(); ++c)
      out += fmt::format("{}{}", c ? " & " : "", latex_escaped(table.columns[c].head));
    out += " \\\\\n\\midrule\n";
    for (const auto& row : table.rows) {
      for (std::size_t c = 0; c < row.size(); ++c)
        out += fmt::format("{}{}", c ? " & " : "", latex_cell(shown(row[c], table.columns[c])));
      out += " \\\\\n";
    }
    out += fmt::format("\\bottomrule\n\\end{{tabular}}}}\n\\caption{{{}. {}}}\n\\label{{tab:{}}}\n\\end{{table}}\n",
                       latex_escaped(table.title), latex_escaped(table.note), table.id);
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
  return {{"runs", runs}, {"tables", tables}, {"remarks", report.remarks}};
}

}  // namespace templora
