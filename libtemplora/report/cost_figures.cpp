#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/figures.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr double kWidth = kFigureWidth, kPlotHeight = 300, kLeft = 62, kRight = 20, kBottom = 56;
constexpr double kBarHeight = 18, kBarStep = 46;
constexpr std::size_t kLongestName = 34, kLongestLine = 60;

std::string shortened(const std::string& text, std::size_t most) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++count > most) return text.substr(0, i) + "…";
  return text;
}

struct Box {
  double left, top, right, bottom;
};

bool overlap(const Box& a, const Box& b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}

}  // namespace

std::vector<std::size_t> pareto_front(const std::vector<CostPoint>& points) {
  std::vector<std::size_t> order(points.size()), front;
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::pair(points[a].cost, points[a].quality) < std::pair(points[b].cost, points[b].quality);
  });
  double best = INFINITY, cost = -1;
  for (const std::size_t i : order) {
    const bool equal = points[i].quality == best && points[i].cost == cost;  // a twin of the last one is not beaten
    if (points[i].quality < best || equal) front.push_back(i);
    if (points[i].quality < best) best = points[i].quality, cost = points[i].cost;
  }
  return front;
}

std::string cost_figure(const std::vector<CostPoint>& points, const std::string& title, const std::string& cost_name,
                        const std::string& quality_name, const Caption& caption) {
  const double top = head_height(caption, kWidth) + 58, height = top + kPlotHeight + kBottom;
  double least = INFINITY, most = -INFINITY, low = INFINITY, high = -INFINITY;
  for (const CostPoint& p : points) {
    least = std::min(least, p.cost), most = std::max(most, p.cost);
    low = std::min(low, p.quality), high = std::max(high, p.quality);
  }
  const bool log = least > 0 && most / least > 8;
  const Scale x = nice_scale(log ? least : std::min(0.0, least), most, kLeft, kWidth - kRight, 7, log);
  const double margin = std::isfinite(high - low) ? 0.06 * (high - low) : 0;
  const Scale y = nice_scale(low - margin, high + margin, height - kBottom, top, 6);
  Svg svg(kWidth, height, title, caption);
  svg.axes(x, y, cost_name + (log ? ", logarithmic" : ""), quality_name, false, true);
  const std::vector<std::size_t> front = pareto_front(points);
  Points line;
  for (const std::size_t i : front) line.emplace_back(x(points[i].cost), y(points[i].quality));
  if (line.size() > 1) svg.path(line, "front s2");
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool on_front = std::find(front.begin(), front.end(), i) != front.end();
    const std::optional<double> sd = points[i].seed_sd;
    svg.mark(x(points[i].cost), y(points[i].quality), on_front ? 5.5 : 4, on_front ? 2 : 1,
             data("name", points[i].name) + data("cost", points[i].cost) + data("quality", points[i].quality) +
                 (sd ? data("seed-sd", *sd) : "") + data("front", on_front ? "yes" : "no"),
             fmt::format("{}: cost {}, {}{}{}", points[i].name, points[i].cost, points[i].quality,
                         sd ? fmt::format(", standard deviation over seeds {}", *sd) : "",
                         on_front ? ", on the Pareto front" : ""));
  }
  // Names of the front: the first place around a point that no mark and no other name has; else none but the tooltip's.
  std::vector<Box> taken;
  for (const CostPoint& p : points) taken.push_back({x(p.cost) - 6, y(p.quality) - 6, x(p.cost) + 6, y(p.quality) + 6});
  for (const std::size_t i : front) {
    const std::string name = shortened(points[i].name, kLongestName);
    const double at = x(points[i].cost), level = y(points[i].quality), width = text_width(name);
    for (const auto& [left, down] : {std::pair{at + 8, -9.0},
                                     {at + 8, 19.0},
                                     {at - 8 - width, 19.0},
                                     {at - 8 - width, -9.0},
                                     {at + 12, 4.0},
                                     {at - width / 2, -24.0}}) {
      const Box box{left, level + down - 11, left + width, level + down + 3};
      const bool inside =
          box.left > kLeft && box.right < kWidth - 4 && box.top > top - 8 && box.bottom < height - kBottom;
      if (!inside || std::any_of(taken.begin(), taken.end(), [&](const Box& other) { return overlap(box, other); }))
        continue;
      svg.text(left, level + down, name, "start", "small");
      taken.push_back(box);
      break;
    }
  }
  svg.sample(16, top - 44, 2);
  svg.text(42, top - 40, "Pareto front: no other is both cheaper and better", "start", "small");
  return svg.inline_text();
}

std::string bar_figure(const std::vector<StackedBar>& bars, const std::string& title, const std::string& x_name,
                       const Caption& caption) {
  std::vector<std::string> parts;
  double most = 0;
  for (const StackedBar& bar : bars) {
    double sum = 0;
    for (const auto& [part, value] : bar.parts) {
      sum += value;
      if (std::find(parts.begin(), parts.end(), part) == parts.end()) parts.push_back(part);
    }
    most = std::max(most, sum);
  }
  Points legend;
  double place = 16, line = head_height(caption, kWidth) + 4;
  for (const std::string& part : parts) {
    const double width = 34 + text_width(part);
    if (place > 16 && place + width > kWidth - 16) place = 16, line += 20;
    legend.emplace_back(place, line);
    place += width;
  }
  const double left = 16, top = line + 34, bottom = top + static_cast<double>(bars.size()) * kBarStep;
  Svg svg(kWidth, bottom + 56, title, caption);
  const Scale x = nice_scale(0, most, left, kWidth - 60, 6);
  for (const double v : ticks(x, 6)) {
    svg.line(x(v), top - 6, x(v), bottom, "grid");
    svg.text(x(v), bottom + 18, tick_text(v), "middle");
  }
  svg.text((left + kWidth) / 2, bottom + 42, x_name, "middle");
  for (std::size_t k = 0; k < parts.size(); ++k) {
    svg.box(legend[k].first, legend[k].second, 14, 12, fmt::format("class=\"f{}\"", k % kSeriesColours), "", "");
    svg.text(legend[k].first + 20, legend[k].second + 11, parts[k]);
  }
  for (std::size_t b = 0; b < bars.size(); ++b) {
    const double name = top + static_cast<double>(b) * kBarStep + 10, y = name + 6;
    svg.text(left, name, shortened(bars[b].name, kLongestLine), "start", "small");
    double sum = 0;
    for (const auto& [part, value] : bars[b].parts) {
      const auto k = static_cast<std::size_t>(std::find(parts.begin(), parts.end(), part) - parts.begin());
      svg.box(x(sum), y, x(sum + value) - x(sum) - 0.8, kBarHeight, fmt::format("class=\"f{}\"", k % kSeriesColours),
              data("bar", bars[b].name) + data("part", part) + data("value", value),
              fmt::format("{}, {}: {}", bars[b].name, part, value));
      sum += value;
    }
    svg.text(x(sum) + 5, y + kBarHeight / 2 + 5, fmt::format("{:.3g}", sum), "start", "small");
  }
  return svg.inline_text();
}

}  // namespace templora
