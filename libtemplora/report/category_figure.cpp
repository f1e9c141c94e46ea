#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr double kCategoryHeight = 280;

}  // namespace

std::string category_figure(const std::vector<std::string>& categories, const std::vector<CategorySeries>& series,
                            const std::string& title, const std::string& x_name, const std::string& y_name,
                            const Caption& caption) {
  double low = 0, high = 0;
  for (const CategorySeries& s : series)
    for (const CategoryPoint& p : s.points) {
      low = std::min({low, p.value, p.low.value_or(p.value)});
      high = std::max({high, p.value, p.high.value_or(p.value)});
    }
  const double head = head_height(caption, kFigureWidth) + 14;
  std::vector<std::string> names;
  for (const CategorySeries& s : series) names.push_back(s.name);
  const Points places = legend_places(names, head);
  const double top = (places.empty() ? head : places.back().second) + 44, bottom = top + kCategoryHeight;
  Svg svg(kFigureWidth, bottom + 56, title, caption);
  const Scale y = nice_scale(low, high, bottom, top, 6);
  for (const double v : ticks(y, 6)) {
    svg.line(kPlotLeft, y(v), kFigureWidth - kPlotRight, y(v), v == 0 ? "axis" : "grid");
    svg.text(kPlotLeft - 8, y(v) + 4, tick_text(v), "end");
  }
  svg.text(16, top - 14, y_name);
  svg.text((kPlotLeft + kFigureWidth - kPlotRight) / 2, bottom + 44, x_name, "middle");
  const double width = kFigureWidth - kPlotRight - kPlotLeft;
  const double slot = width / static_cast<double>(std::max<std::size_t>(1, categories.size()));
  const double step = slot * 0.8 / static_cast<double>(std::max<std::size_t>(1, series.size()));
  for (std::size_t c = 0; c < categories.size(); ++c) {
    const double middle = kPlotLeft + (static_cast<double>(c) + 0.5) * slot;
    svg.text(middle, bottom + 20, categories[c], "middle");
    if (c > 0) svg.line(middle - slot / 2, top, middle - slot / 2, bottom, "grid");
  }
  for (std::size_t s = 0; s < series.size(); ++s) {
    const std::string colour = fmt::format("s{}", (s + 1) % kSeriesColours);
    for (const CategoryPoint& p : series[s].points) {
      const double x = kPlotLeft + (static_cast<double>(p.category) + 0.5) * slot +
                       (static_cast<double>(s) - (static_cast<double>(series.size()) - 1) / 2) * step;
      std::string attributes =
          data("series", series[s].name) + data("category", categories[p.category]) + data("value", p.value);
      std::string words = fmt::format("{}, {}: {}", series[s].name, categories[p.category], p.value);
      svg.line(x, y(0), x, y(p.value), colour + " thin");
      if (p.low && p.high) {
        attributes += data("low", *p.low) + data("high", *p.high);
        words += fmt::format(" [{}, {}]", *p.low, *p.high);
        svg.line(x, y(*p.low), x, y(*p.high), colour + " whisker");
        for (const double end : {*p.low, *p.high}) svg.line(x - 4, y(end), x + 4, y(end), colour + " whisker");
      }
      if (p.seed_sd) {
        attributes += data("seed-sd", *p.seed_sd);
        words += fmt::format(", standard deviation over seeds {}", *p.seed_sd);
      }
      svg.mark(x, y(p.value), 4.5, s + 1, attributes, words + (p.what.empty() ? "" : ", " + p.what));
    }
    svg.sample(places[s].first, places[s].second, s + 1);
    svg.text(places[s].first + 26, places[s].second + 4, shortened(series[s].name, kLongestLegend));
  }
  return svg.inline_text();
}

}  // namespace templora
