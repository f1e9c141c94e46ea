#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/report_formats.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr const char* kStyle = R"(
:root{color-scheme:light dark}
body{margin:0 auto;max-width:1180px;padding:1.2rem;background:#fff;color:#222;)"
                               R"(font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
h1{font-size:1.5rem;margin:.2rem 0 .6rem}h2{font-size:1.15rem;margin:2rem 0 .5rem}
nav a{margin-right:1rem}a{color:#00558a}
.remark{border-left:4px solid #c2500a;padding:.3rem .8rem;background:#fff4ec}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,540px),1fr));gap:1.2rem}
figure{margin:0;border:1px solid #ddd;border-radius:6px;padding:.6rem;min-width:0}
.scroll{overflow-x:auto}figure svg{display:block;width:100%;height:auto}
figcaption,.note,.sources{font-size:.85rem;color:#555;overflow-wrap:anywhere}
table{border-collapse:collapse;font-size:.88rem}th,td{padding:.25rem .6rem;)"
                               R"(border-bottom:1px solid #e2e2e2;text-align:right;white-space:nowrap}
thead th{border-bottom:2px solid #888;vertical-align:bottom;white-space:normal;min-width:3.5rem}
.key{text-align:left}td.long{white-space:normal;min-width:14rem;overflow-wrap:anywhere})"
                               R"(td[title]{cursor:help;font-variant-numeric:tabular-nums})"
                               R"(.interval{color:#555;font-size:.85em}
@media (prefers-color-scheme:dark){body{background:#101215;color:#e4e4e4}a{color:#7cc0f5})"
                               R"(figure{border-color:#33373d;background:#16181c}
figcaption,.note,.sources,.interval{color:#aaa}th,td{border-color:#33373d})"
                               R"(thead th{border-color:#888}.remark{background:#2b1d13;border-color:#f0965a}}
@media print{.scroll{overflow:visible}figure{break-inside:avoid}}
)";

constexpr std::size_t kLong = 48;  // characters of a text that may be broken into lines

std::string cell_title(const Report& report, const Cell& cell) {
  std::string out = cell.value ? fmt::format("{}", *cell.value) : "no value";
  if (cell.low && cell.high) out += fmt::format(" [{}, {}]", *cell.low, *cell.high);
  if (!cell.method.empty()) out += ", " + cell.method;
  if (cell.seed_sd) out += fmt::format("; {} seeds, standard deviation {}", cell.seeds, *cell.seed_sd);
  if (cell.books > 0) out += fmt::format("; {} books", cell.books);
  if (cell.tokens > 0) out += fmt::format("; {} tokens", cell.tokens);
  for (const std::size_t i : cell.runs)
    out += fmt::format("; {} (config {})", report.runs[i].name, report.runs[i].config_hash());
  return out;
}

std::string cell_html(const Report& report, const Cell& cell, const Column& column) {
  const std::string text = xml_escaped(shown(cell, column));
  if (column.key) return fmt::format("<td class=\"key{}\">{}</td>", text.size() > kLong ? " long" : "", text);
  if (column.name.empty()) return fmt::format("<td>{}</td>", text);
  std::string attributes = fmt::format(" title=\"{}\"", xml_escaped(cell_title(report, cell)));
  if (cell.value) attributes += data("value", *cell.value);
  const std::size_t bracket = std::min(text.find(" ["), text.find(" ±"));
  if (!cell.value || bracket == std::string::npos) return fmt::format("<td{}>{}</td>", attributes, text);
  return fmt::format("<td{}>{}<span class=\"interval\">{}</span></td>", attributes, text.substr(0, bracket),
                     text.substr(bracket));
}

std::string table_html(const Report& report, const ReportTable& table) {
  std::string out = fmt::format("<section id=\"{}\"><h2>{}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>",
                                xml_escaped(table.id), xml_escaped(table.title));
  for (const Column& column : table.columns)
    out += fmt::format("<th{}>{}</th>", column.key ? " class=\"key\"" : "", xml_escaped(column.head));
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) out += cell_html(report, row[c], table.columns[c]);
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += fmt::format("<p class=\"note\">{}</p>\n", xml_escaped(table.note));
  if (!names_runs(table))
    out += fmt::format("<p class=\"sources\">From {}.</p>\n", xml_escaped(sources_line(report, table)));
  return out + "</section>\n";
}

}  // namespace

std::string report_page(const Report& report) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"generator\" "
      "content=\"templora\"><title>Temp-LoRA report</title>\n<style>{}{}</style></head>\n<body>\n"
      "<h1>Temp-LoRA report</h1>\n",
      kStyle, chart_style());
  out += fmt::format("<p>{} run{}.</p>\n", report.runs.size(), report.runs.size() == 1 ? "" : "s");
  for (const std::string& remark : report.remarks)
    out += fmt::format("<p class=\"remark\">{}</p>\n", xml_escaped(remark));
  out += "<nav>";
  if (!report.figures.empty()) out += "<a href=\"#figures\">Figures</a>";
  for (const ReportTable& table : report.tables)
    out += fmt::format(" <a href=\"#{}\">{}</a>", xml_escaped(table.id), xml_escaped(table.title));
  out += "</nav>\n";
  if (!report.figures.empty()) {
    out += "<section id=\"figures\"><h2>Figures</h2><div class=\"figures\">\n";
    for (const Figure& figure : report.figures)
      out += fmt::format("<figure id=\"{}\"><div class=\"scroll\">{}</div><figcaption>{}</figcaption></figure>\n",
                         figure.id, figure.svg, xml_escaped(figure.note));
    out += "</div></section>\n";
  }
  for (const ReportTable& table : report.tables) out += table_html(report, table);
  return out + "</body></html>\n";
}

}  // namespace templora
