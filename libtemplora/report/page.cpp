#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "report/report_formats.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr double kWidestText = 190;  // of a text's lines in a table

constexpr const char* kStyle = R"(
:root{color-scheme:light dark}
body{margin:0 auto;max-width:1180px;padding:1rem;background:#fff;color:#222;overflow-wrap:anywhere;
font:15px/1.5 system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}
h1{font-size:1.4rem;margin:.2rem 0 .4rem}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}a{color:#00558a}
.answer{font-size:1.05rem;font-weight:600;margin:.4rem 0}
.above,.note,figcaption,details.from{font-size:.85rem;color:#555}
.remark{border-left:4px solid #c2500a;padding:.3rem .8rem;background:#fff4ec}
nav{margin:.6rem 0}nav a{display:inline-block;margin-right:1rem}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr));gap:1rem}
figure{margin:0;border:1px solid #ddd;border-radius:6px;padding:.4rem;min-width:0}
figure svg{display:block;width:100%;height:auto;min-width:0!important;margin:0 auto}
summary{cursor:pointer}details.table>summary{font-size:1.1rem;font-weight:600;margin:1.2rem 0 .4rem}
table{border-collapse:collapse;font-size:.86rem}
th,td{padding:.22rem .5rem;border-bottom:1px solid #e2e2e2;text-align:right;vertical-align:top}
th,td{overflow-wrap:normal}thead th{border-bottom:2px solid #888;vertical-align:bottom}
.key{text-align:left}td[title]{cursor:help;font-variant-numeric:tabular-nums}
.interval{display:block;color:#555;font-size:.88em;white-space:nowrap}
@media (prefers-color-scheme:dark){body{background:#101215;color:#e4e4e4}a{color:#7cc0f5}
figure{border-color:#33373d;background:#16181c}.above,.note,figcaption,details.from,.interval{color:#aaa}
th,td{border-color:#33373d}thead th{border-color:#888}.remark{background:#2b1d13;border-color:#f0965a}}
@media print{figure{break-inside:avoid}}
)";

// A table that is wider than the screen becomes a list: a block a row, a line a cell with its head in front.
constexpr const char* kListStyle =
    "{0} table{{display:block}}{0} thead{{display:none}}{0} tbody,{0} tr{{display:block}}"
    "{0} tr{{border-bottom:2px solid #888;padding:.3rem 0}}"
    "{0} td{{display:flex;justify-content:space-between;gap:1rem;border:0;padding:.05rem 0;text-align:right;"
    "overflow-wrap:anywhere}}"
    "{0} td::before{{content:attr(data-head);color:#777;text-align:left;flex:0 1 50%}}";
constexpr int kWidths[] = {380, 460, 560, 660, 760, 880, 1000, 1120, 1220, 9999};  // the last: always a list
constexpr double kTableCharacter = 7.6, kCellPadding = 16, kPagePadding = 40;

/// Which width of kWidths a screen needs for the table to be one; the widest where none is enough.
int width_class(const ReportTable& table, const Presented& shape) {
  // Digits of DejaVu Sans, the widest of the fonts, are as wide in a table as text_width() takes them in a figure.
  const auto width = [](const std::string& text) { return text_width(text); };
  double all = kPagePadding;
  for (const std::size_t c : shape.columns) {
    double widest = kTableCharacter;
    std::istringstream head(head_of(table, c));
    for (std::string word; head >> word;) widest = std::max(widest, width(word));
    for (const auto& row : table.rows) {
      const std::string text = shown(row[c], table.columns[c]);
      const std::size_t bracket = std::min(text.find(" ["), text.size());
      // Texts may be broken into lines between words, numbers not.
      widest = std::max(widest, row[c].value ? std::max(width(text.substr(0, bracket)), width(text.substr(bracket)))
                                             : std::min(width(text), kWidestText));
      std::istringstream words(row[c].value ? "" : text);
      for (std::string word; words >> word;) widest = std::max(widest, width(word));
    }
    all += widest + kCellPadding;
  }
  for (const int least : kWidths)
    if (all <= least) return least;
  return kWidths[std::size(kWidths) - 1];
}

std::string list_styles() {
  std::string out;
  for (const int least : kWidths)
    out += fmt::format("@media (max-width:{}px){{{}}}\n", least - 1,
                       fmt::format(fmt::runtime(kListStyle), fmt::format(".w{}", least)));
  return out;
}

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

std::string cell_html(const Report& report, const Cell& cell, const Column& column, const std::string& head) {
  const std::string text = xml_escaped(shown(cell, column)), of_head = data("head", head);
  if (column.key) return fmt::format("<td class=\"key\"{}><span>{}</span></td>", of_head, text);
  if (column.name.empty()) return fmt::format("<td{}>{}</td>", of_head, text);
  std::string attributes = of_head + fmt::format(" title=\"{}\"", xml_escaped(cell_title(report, cell)));
  if (cell.value) attributes += data("value", *cell.value);
  const std::size_t bracket = std::min(text.find(" ["), text.find(" ±"));
  if (!cell.value || bracket == std::string::npos) return fmt::format("<td{}><span>{}</span></td>", attributes, text);
  return fmt::format("<td{}><span>{}<span class=\"interval\">{}</span></span></td>", attributes,
                     text.substr(0, bracket), text.substr(bracket));
}

std::string table_html(const Report& report, const ReportTable& table) {
  const Presented shape = presented(table);
  const std::string id = xml_escaped(table.id), title = xml_escaped(table.title);
  std::string out = table.aside
                        ? fmt::format("<details class=\"table\" id=\"{}\"><summary>{}</summary>\n", id, title)
                        : fmt::format("<section id=\"{}\"><h2>{}</h2>\n", id, title);
  if (!shape.above.empty()) out += fmt::format("<p class=\"above\">{}</p>\n", xml_escaped(above_text(shape)));
  out += fmt::format("<div class=\"w{}\"><table>\n<thead><tr>", width_class(table, shape));
  for (const std::size_t c : shape.columns)
    out += fmt::format("<th{}>{}</th>", table.columns[c].key ? " class=\"key\"" : "", xml_escaped(head_of(table, c)));
  out += "</tr></thead>\n<tbody>\n";
  for (const auto& row : table.rows) {
    out += "<tr>";
    for (const std::size_t c : shape.columns) out += cell_html(report, row[c], table.columns[c], head_of(table, c));
    out += "</tr>\n";
  }
  out += "</tbody></table></div>\n";
  if (!table.note.empty()) out += fmt::format("<p class=\"note\">{}</p>\n", xml_escaped(table.note));
  if (!names_runs(table)) {
    const std::size_t runs = runs_behind(table).size();
    out += fmt::format("<details class=\"from\"><summary>From {} run{}</summary>{}.</details>\n", runs,
                       runs == 1 ? "" : "s", xml_escaped(sources_line(report, table)));
  }
  return out + (table.aside ? "</details>\n" : "</section>\n");
}

}  // namespace

std::string report_page(const Report& report) {
  const std::string title =
      "Temp-LoRA report" + (report.subject.empty() ? "" : ": " + xml_escaped(report.subject));
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\"><meta name=\"generator\" "
      "content=\"templora\"><title>{}</title>\n<style>{}{}{}</style></head>\n<body>\n"
      "<h1>{}</h1>\n",
      title, kStyle, list_styles(), chart_style(), title);
  for (const std::string& answer : report.answers)
    out += fmt::format("<p class=\"answer\">{}</p>\n", xml_escaped(answer));
  for (const std::string& remark : report.remarks)
    out += fmt::format("<p class=\"remark\">{}</p>\n", xml_escaped(remark));
  if (!report.figures.empty()) {
    out += "<section id=\"figures\"><div class=\"figures\">\n";
    for (const Figure& figure : report.figures)
      out += fmt::format("<figure id=\"{}\">{}{}</figure>\n", figure.id, figure.svg,
                         figure.note.empty() ? ""
                                             : "<figcaption><details class=\"from\"><summary>How, and from which runs"
                                               "</summary>" + xml_escaped(figure.note) + "</details></figcaption>");
    out += "</div></section>\n";
  }
  out += fmt::format("<nav>{} run{}. Tables:", report.runs.size(), report.runs.size() == 1 ? "" : "s");
  for (const ReportTable& table : report.tables)
    out += fmt::format(" <a href=\"#{}\">{}</a>", xml_escaped(table.id), xml_escaped(table.title));
  out += "</nav>\n";
  for (const ReportTable& table : report.tables) out += table_html(report, table);
  return out + "</body></html>\n";
}

}  // namespace templora
