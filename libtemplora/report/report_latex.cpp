// Tables for a paper, each as narrow as a column of a page with two of them.

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "report/markdown.h"
#include "report/report_formats.h"

namespace templora {
namespace {

// Points, of ten-point text's footnotesize: a column of a two-column page, what stands between columns of a table,
// about what a character takes, what columns of text may take before they are wrapped, and what heads may.
constexpr double kLine = 200, kGap = 6, kCharacter = 4.5, kMostText = 84, kLeastHead = 34, kLongestWord = 60;
constexpr std::size_t kMostLines = 46, kHeadLines = 5;  // of a page's column: what a float may have, what a head takes

std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

double width_of(const std::string& text) { return kCharacter * static_cast<double>(characters(text)); }

/// Lines of at most `width`, cut at spaces; a longer word is cut where it is full.
std::vector<std::string> wrapped_text(const std::string& text, double width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  const auto most = static_cast<std::size_t>(std::max(4.0, width / kCharacter));
  for (std::string word; words >> word;) {
    if (!lines.empty() && characters(lines.back()) + 1 + characters(word) <= most) {
      lines.back() += " " + word;
      continue;
    }
    lines.emplace_back();
    std::size_t used = 0;
    for (const char c : word) {
      if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && used++ >= most) lines.emplace_back(), used = 1;
      lines.back() += c;
    }
  }
  return lines;
}

std::string stacked(const std::vector<std::string>& lines, const char* vertical, const char* side) {
  std::string out;
  for (const std::string& line : lines) out += (out.empty() ? "" : "\\\\") + latex_escaped(line);
  return lines.size() > 1 ? fmt::format("\\begin{{tabular}}[{}]{{@{{}}{}@{{}}}}{}\\end{{tabular}}", vertical, side, out)
                          : out;
}

/// Numbers get a real minus sign.
std::string latex_number(const std::string& text) {
  const bool negative =
      text.size() > 1 && text[0] == '-' && text.find_first_not_of("0123456789.,e+-", 1) == std::string::npos;
  return negative ? "$" + text + "$" : latex_escaped(text);
}

/// A cell's lines: its value, under it the interval.
struct Lines {
  std::string value, interval;
  double width = 0;
};

Lines lines_of(const Cell& cell, const Column& column) {
  Cell plain = cell;
  plain.low.reset(), plain.high.reset(), plain.seed_sd.reset();
  const std::string value = shown(plain, column);
  Lines out{latex_number(value), "", width_of(value)};
  if (!cell.value) return out;
  if (cell.seed_sd && *cell.seed_sd > 0) {
    const std::string deviation = fmt::format("{:.2g}", *cell.seed_sd);
    out.value += fmt::format(" $\\pm$ {}", deviation);
    out.width += width_of(" ± " + deviation);
  }
  if (cell.low && cell.high) {
    const auto number = [&](double v) {
      return fmt::format(fmt::runtime(cell.format.empty() ? column.format : cell.format), v);
    };
    out.interval = fmt::format("{{\\scriptsize$[{},\\,{}]$}}", number(*cell.low), number(*cell.high));
    out.width = std::max(out.width, 0.95 * width_of("[" + number(*cell.low) + ", " + number(*cell.high) + "]"));
  }
  return out;
}

/// One column as LaTeX prints it.
struct Printed {
  bool key = false, intervals = false;  // cells of two lines
  double width = 0;
  std::string head;
  std::vector<std::string> cells;
};

Printed printed(const ReportTable& table, std::size_t c) {
  const Column& column = table.columns[c];
  Printed out;
  out.key = column.key;
  for (const auto& row : table.rows) {
    if (column.key || column.name.empty()) {
      const std::vector<std::string> lines = wrapped_text(shown(row[c], column), kMostText);
      for (const std::string& line : lines) out.width = std::max(out.width, width_of(line));
      out.cells.push_back(lines.size() == 1 ? latex_number(lines[0]) : stacked(lines, "t", column.key ? "l" : "r"));
      continue;
    }
    const Lines lines = lines_of(row[c], column);
    out.intervals |= !lines.interval.empty();
    out.width = std::max(out.width, lines.width);
    const char* const both = "\\begin{{tabular}}[t]{{@{{}}r@{{}}}}{}\\\\[-1pt]{}\\end{{tabular}}";
    out.cells.push_back(lines.interval.empty() ? lines.value
                                               : fmt::format(fmt::runtime(both), lines.value, lines.interval));
  }
  double head_width = std::max(out.width, kLeastHead);
  std::istringstream words(head_of(table, c));
  for (std::string word; words >> word;) head_width = std::max(head_width, std::min(width_of(word), kLongestWord));
  const std::vector<std::string> head = wrapped_text(head_of(table, c), head_width);
  for (const std::string& line : head) out.width = std::max(out.width, width_of(line));
  out.head = stacked(head, "b", column.key ? "l" : "r");
  return out;
}

std::string tabular(const std::vector<const Printed*>& columns, std::size_t first, std::size_t end) {
  std::string layout, out;
  for (const Printed* column : columns) layout += column->key ? 'l' : 'r';
  out = fmt::format("\\begin{{tabular}}{{@{{}}{}@{{}}}}\n\\toprule\n", layout);
  for (std::size_t c = 0; c < columns.size(); ++c) out += (c ? " & " : "") + columns[c]->head;
  out += " \\\\\n\\midrule\n";
  for (std::size_t r = first; r < end; ++r) {
    for (std::size_t c = 0; c < columns.size(); ++c) out += (c ? " & " : "") + columns[c]->cells[r];
    out += " \\\\\n";
  }
  return out + "\\bottomrule\n\\end{tabular}";
}

/// The columns in panels that are no wider than a line, each with the settings in front.
std::vector<std::vector<const Printed*>> panels_of(const std::vector<Printed>& columns) {
  std::vector<const Printed*> keys;
  double of_keys = 0;
  for (const Printed& column : columns)
    if (column.key) keys.push_back(&column), of_keys += column.width + kGap;
  std::vector<std::vector<const Printed*>> panels;
  double used = kLine + 1;
  for (const Printed& column : columns) {
    if (column.key) continue;
    if (used + column.width > kLine) panels.push_back(keys), used = of_keys;
    panels.back().push_back(&column);
    used += column.width + kGap;
  }
  if (panels.empty()) panels.push_back(keys);
  return panels;
}

/// A piece of a table that fits a page.
struct Block {
  std::string text;
  std::size_t lines = 0;
};

std::vector<Block> blocks_of(const std::vector<Printed>& columns, std::size_t rows) {
  std::vector<Block> blocks;
  for (const auto& panel : panels_of(columns)) {
    const bool two = std::any_of(panel.begin(), panel.end(), [](const Printed* column) { return column->intervals; });
    const std::size_t each = two ? 2 : 1, most = (kMostLines - kHeadLines) / each;
    for (std::size_t first = 0; first == 0 || first < rows; first += most) {
      const std::size_t end = std::min(first + most, rows);
      blocks.push_back({tabular(panel, first, end), kHeadLines + each * (end - first)});
    }
  }
  return blocks;
}

}  // namespace

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
    else if (starts("−")) out += "$-$", i += 2;
    else if (starts("†")) out += "$\\dagger$", i += 2;
    else if (starts("…")) out += "\\dots{}", i += 2;
    else out += c;
  }
  return out;
}

std::string report_latex(const Report& report) {
  std::string out =
      "% Needs \\usepackage{booktabs}. No table is wider than a column of a two-column page. Comments say what the "
      "numbers\n% are and from which runs.\n";
  for (const std::string& line : report.answers) out += "% " + printable(line, 1000) + "\n";
  for (const std::string& remark : report.remarks) out += "% " + printable(remark, 1000) + "\n";
  for (const ReportTable& table : report.tables) {
    if (names_runs(table)) continue;  // the comments name them
    const Presented shape = presented(table);
    std::vector<Printed> columns;
    for (const std::size_t c : shape.columns) columns.push_back(printed(table, c));
    out += fmt::format("\n% {}: from {}\n", table.id, printable(sources_line(report, table), 4000));
    if (!table.note.empty()) out += "% " + printable(table.note, 4000) + "\n";
    const std::string above = above_text(shape), title = latex_escaped(table.title);
    const std::string caption = fmt::format("\\caption{{{}{}.}}\n\\label{{tab:{}}}\n", title,
                                            above.empty() ? "" : " (" + latex_escaped(above) + ")", table.id);
    const std::vector<Block> blocks = blocks_of(columns, table.rows.size());
    for (std::size_t b = 0; b < blocks.size();) {  // floats that fit a page
      out += fmt::format("\\begin{{table}}\n\\centering\\footnotesize\\setlength{{\\tabcolsep}}{{{}pt}}\n", kGap / 2);
      const bool first = b == 0;
      std::size_t used = 0;
      for (; b < blocks.size() && (used == 0 || used + blocks[b].lines <= kMostLines); ++b) {
        out += (used > 0 ? "\\par\\medskip\n" : "") + blocks[b].text + "\n";
        used += blocks[b].lines;
      }
      out += (first ? caption : fmt::format("\\caption{{{} (continued).}}\n", title)) + "\\end{table}\n";
    }
  }
  return out;
}

}  // namespace templora
