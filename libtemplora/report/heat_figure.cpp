#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "report/figures.h"
#include "report/run_groups.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr double kLeastLeft = 56, kMostLeft = 180, kCellHeight = 44, kHeatRight = 16, kHeatBottom = 92;

struct Rgb {
  double r, g, b;
};

/// Cividis (Nuñez, Anderton and Renslow 2018): even in lightness, and the same to colour-blind eyes. t in [0, 1].
Rgb cividis(double t) {
  constexpr Rgb kStops[] = {{0, 34, 78},     {53, 69, 108},   {102, 105, 112},
                            {148, 142, 119}, {200, 184, 102}, {254, 232, 56}};
  const double at = std::clamp(t, 0.0, 1.0) * 5;
  const auto i = std::min<std::size_t>(4, static_cast<std::size_t>(at));
  const double f = at - static_cast<double>(i);
  const auto mix = [f](double a, double b) { return a + f * (b - a); };
  return {mix(kStops[i].r, kStops[i + 1].r), mix(kStops[i].g, kStops[i + 1].g), mix(kStops[i].b, kStops[i + 1].b)};
}

std::string fill(double t) {
  const Rgb c = cividis(t);
  return fmt::format("style=\"fill:#{:02x}{:02x}{:02x}\"", int(std::lround(c.r)), int(std::lround(c.g)),
                     int(std::lround(c.b)));
}

}  // namespace

std::string heat_figure(const SweepSlice& slice, const Caption& caption) {
  if (slice.column_key.empty()) throw Error(Exit::usage, "heat map: got one axis, wanted two");
  double low = INFINITY, high = -INFINITY;
  for (const auto& row : slice.cells)
    for (const Cell& cell : row)
      if (cell.value) low = std::min(low, *cell.value), high = std::max(high, *cell.value);
  const std::string row_name = short_name(slice.row_key), column_name = short_name(slice.column_key);
  double names = text_width(row_name) + 12;
  for (const std::string& row : slice.rows) names = std::max(names, text_width(row) + 24);
  const double left = std::clamp(names, kLeastLeft, kMostLeft);
  const double cell_width =
      std::clamp((kFigureWidth - left - kHeatRight) / static_cast<double>(slice.columns.size()), 58.0, 96.0);
  const double right = left + cell_width * static_cast<double>(slice.columns.size());
  const double width = std::max(right + kHeatRight, 420.0), top = head_height(caption, width) + 56;
  const double bottom = top + kCellHeight * static_cast<double>(slice.rows.size());
  std::string title = measure_title(slice.value);
  title[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(title[0])));
  for (const auto& [key, value] : slice.fixed) title += fmt::format(", {} {}", short_name(key), value);
  Svg svg(width, bottom + kHeatBottom, title, caption);
  // Good is dark: a lower value for all but those where more is better.
  const bool more_is_better =
      slice.value.find("bleu") != std::string::npos || slice.value.find("comet") != std::string::npos;
  const auto place = [&](double v) {
    const double t = high > low ? (v - low) / (high - low) : 0.5;
    return more_is_better ? 1 - t : t;
  };
  svg.text((left + right) / 2, top - 28, column_name, "middle");
  svg.text(left - 8, top - 8, row_name, "end");
  for (std::size_t c = 0; c < slice.columns.size(); ++c)
    svg.text(left + (static_cast<double>(c) + 0.5) * cell_width, top - 8, slice.columns[c], "middle");
  for (std::size_t r = 0; r < slice.rows.size(); ++r) {
    const double y = top + static_cast<double>(r) * kCellHeight;
    svg.text(left - 8, y + kCellHeight / 2 + 4, slice.rows[r], "end");
    for (std::size_t c = 0; c < slice.columns.size(); ++c) {
      const double x = left + static_cast<double>(c) * cell_width;
      const Cell& cell = slice.cells[r][c];
      const std::string at = data("row", slice.rows[r]) + data("column", slice.columns[c]);
      const std::string where = fmt::format("{} {}, {} {}: ", row_name, slice.rows[r],
                                            column_name, slice.columns[c]);
      if (!cell.value) {
        svg.box(x + 1, y + 1, cell_width - 2, kCellHeight - 2, "class=\"none\"", at, where + "no finished run");
        continue;
      }
      const double t = place(*cell.value);
      std::string words = fmt::format("{}{}", where, *cell.value);
      std::string attributes = at + data("value", *cell.value);
      if (cell.seed_sd) {
        attributes += data("seed-sd", *cell.seed_sd);
        words += fmt::format(", mean of {} seeds, standard deviation {}", cell.seeds, *cell.seed_sd);
      }
      svg.box(x, y, cell_width - 1, kCellHeight - 1, fill(t), attributes, words);
      svg.text(x + cell_width / 2, y + kCellHeight / 2 + 4,
               fmt::format(fmt::runtime(measure_format(slice.value)), *cell.value), "middle",
               t > 0.55 ? "on-light" : "on-dark");
    }
  }
  if (!std::isfinite(low)) return svg.inline_text();
  constexpr int kSteps = 48;
  const double bar = std::min(240.0, right - left);
  for (int i = 0; i < kSteps; ++i)
    svg.box(left + bar * i / kSteps, bottom + 24, bar / kSteps + 0.6, 12,
            fill(more_is_better ? 1 - (i + 0.5) / kSteps : (i + 0.5) / kSteps), "", "");
  const auto name = [&](double v) { return fmt::format(fmt::runtime(measure_format(slice.value)), v); };
  svg.text(left, bottom + 54, name(low), "start", "small");
  svg.text(left + bar, bottom + 54, name(high), "end", "small");
  svg.text(left, bottom + 76, more_is_better ? "dark: high, better" : "dark: low, better", "start", "small dim");
  return svg.inline_text();
}

}  // namespace templora
