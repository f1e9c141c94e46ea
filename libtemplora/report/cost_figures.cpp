#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/figures.h"
#include "report/svg.h"

namespace templora {
namespace {

constexpr double kCostHeight = 300, kCostLeft = 62, kCostRight = 20, kCostBottom = 56;
constexpr double kBarHeight = 18, kBarStep = 46;
constexpr std::size_t kLongestName = 34, kLongestLine = 60;

constexpr double kSmall = 0.9;                    // of a text's usual width
constexpr std::size_t kPlain = 0, kLearns = 1;    // series, as in other figures

std::size_t series_of(const CostPoint& point) { return point.plain ? kPlain : kLearns; }

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
  const double legend = head_height(caption, kFigureWidth) + 14, top = legend + 44;
  const double height = top + kCostHeight + kCostBottom;
  double least = INFINITY, most = -INFINITY, low = INFINITY, high = -INFINITY;
  for (const CostPoint& p : points) {
    least = std::min(least, p.cost), most = std::max(most, p.cost);
    low = std::min(low, p.quality), high = std::max(high, p.quality);
  }
  const bool log = least > 0 && most / least > 8;
  const Scale x = nice_scale(log ? least : std::min(0.0, least), most, kCostLeft, kFigureWidth - kCostRight, 7, log);
  const double margin = std::isfinite(high - low) ? 0.06 * (high - low) : 0;
  const bool far = low > 0 && high / low > 3;  // else what lies close together could not be told apart
  const Scale y = far ? nice_scale(low, high, height - kCostBottom, top, 6, true)
                      : nice_scale(low - margin, high + margin, height - kCostBottom, top, 6);
  Svg svg(kFigureWidth, height, title, caption);
  const auto named = [](const std::string& name, bool logarithmic) {
    return name + (logarithmic ? ", logarithmic" : "");
  };
  svg.axes(x, y, named(cost_name, log), named(quality_name, far), false, true);
  const std::vector<std::size_t> front = pareto_front(points);
  Points line;
  for (const std::size_t i : front) line.emplace_back(x(points[i].cost), y(points[i].quality));
  if (line.size() > 1) svg.path(line, "front s2");
  const auto is_on_front = [&](std::size_t i) { return std::find(front.begin(), front.end(), i) != front.end(); };
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool on_front = is_on_front(i);
    const std::optional<double> sd = points[i].seed_sd;
    svg.mark(x(points[i].cost), y(points[i].quality), on_front ? 5.5 : 4, series_of(points[i]),
             data("name", points[i].name) + data("cost", points[i].cost) + data("quality", points[i].quality) +
                 (sd ? data("seed-sd", *sd) : "") + data("front", on_front ? "yes" : "no"),
             fmt::format("{}: cost {}, {}{}{}", points[i].name, points[i].cost, points[i].quality,
                         sd ? fmt::format(", standard deviation over seeds {}", *sd) : "",
                         on_front ? ", on the Pareto front" : ""));
  }
  // A name stands at the first place around its point that no mark and no other name has; else its tooltip has it.
  std::vector<Box> taken;
  for (const CostPoint& p : points) taken.push_back({x(p.cost) - 6, y(p.quality) - 6, x(p.cost) + 6, y(p.quality) + 6});
  std::vector<std::size_t> order = front;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (!is_on_front(i)) order.push_back(i);
  for (const std::size_t i : order) {
    const std::string name = shortened(points[i].name, kLongestName);
    const double at = x(points[i].cost), level = y(points[i].quality), width = kSmall * text_width(name);
    for (const auto& [left, down] : {std::pair{at + 8, -9.0},
                                     {at + 8, 19.0},
                                     {at - 8 - width, 19.0},
                                     {at - 8 - width, -9.0},
                                     {at + 12, 4.0},
                                     {at - 12 - width, 4.0},
                                     {at - width / 2, -12.0},
                                     {at - width / 2, 21.0},
                                     {at - width / 2, -24.0}}) {
      const Box box{left - 2, level + down - 12, left + width + 4, level + down + 4};
      const bool inside = box.left > kCostLeft && box.right < kFigureWidth - 4 && box.top > top - 8 &&
                          box.bottom < height - kCostBottom;
      if (!inside || std::any_of(taken.begin(), taken.end(), [&](const Box& other) { return overlap(box, other); }))
        continue;
      svg.text(left, level + down, name, "start", is_on_front(i) ? "small" : "small dim");
      taken.push_back(box);
      break;
    }
  }
  double place = 16;
  for (const auto& [is_plain, name] : {std::pair{false, "Temp-LoRA"}, {true, "plain model"}}) {
    const bool of_plain = is_plain;
    if (std::none_of(points.begin(), points.end(), [&](const CostPoint& p) { return p.plain == of_plain; })) continue;
    svg.mark(place + 6, legend, 5, is_plain ? kPlain : kLearns, "", "");
    svg.text(place + 18, legend + 4, name, "start", "small");
    place += 34 + kSmall * text_width(name);
  }
  if (line.size() > 1) {
    svg.line(place, legend, place + 20, legend, "front s2");
    svg.text(place + 26, legend + 4, "Pareto front", "start", "small");
  }
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
  double place = 16, line = head_height(caption, kFigureWidth) + 4;
  for (const std::string& part : parts) {
    const double width = 34 + text_width(part);
    if (place > 16 && place + width > kFigureWidth - 16) place = 16, line += 20;
    legend.emplace_back(place, line);
    place += width;
  }
  const double left = 16, top = line + 34, bottom = top + static_cast<double>(bars.size()) * kBarStep;
  Svg svg(kFigureWidth, bottom + 56, title, caption);
  const Scale x = nice_scale(0, most, left, kFigureWidth - 60, 6);
  for (const double v : ticks(x, 6)) {
    svg.line(x(v), top - 6, x(v), bottom, "grid");
    svg.text(x(v), bottom + 18, tick_text(v), "middle");
  }
  svg.text((left + kFigureWidth) / 2, bottom + 42, x_name, "middle");
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
