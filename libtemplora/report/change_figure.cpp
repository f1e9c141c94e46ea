#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "metrics/derived.h"
#include "report/figures.h"
#include "report/markdown.h"

namespace templora {
namespace {

constexpr double kChangeHeight = 300;
constexpr std::size_t kMostBands = 3;  // more hide one another

void draw_band(Svg& svg, const ChangeSeries& series, std::size_t colour, const Scale& x, const Scale& y) {
  Points band, upper;
  for (const CurvePoint& p : series.points) {
    if (!p.low || !p.high) continue;
    band.emplace_back(x(p.token), y(*p.low));
    upper.emplace_back(x(p.token), y(*p.high));
  }
  band.insert(band.end(), upper.rbegin(), upper.rend());
  if (band.size() >= 4) svg.area(band, colour);
}

void draw_marks(Svg& svg, const ChangeSeries& series, std::size_t colour, const Scale& x, const Scale& y) {
  for (const CurvePoint& p : series.points) {
    std::string attributes = data("series", series.name) + data("token", p.token) + data("change", p.ppl);
    std::string title = fmt::format("{}: {} % around token {}, {} books, {} tokens", series.name, p.ppl, p.token,
                                    p.books, grouped(p.tokens));
    if (p.low && p.high) {
      attributes += data("low", *p.low) + data("high", *p.high);
      title += fmt::format(", 95 % interval over books {} to {}", *p.low, *p.high);
    }
    svg.mark(x(p.token), y(p.ppl), series.named ? 2.6 : 1.4, colour, attributes, title);
  }
}

}  // namespace

std::vector<CurvePoint> change_points(const std::vector<PositionCurve>& curves) {
  const auto of = [&](Arm arm) {
    return std::find_if(curves.begin(), curves.end(), [arm](const PositionCurve& curve) { return curve.arm == arm; });
  };
  std::vector<CurvePoint> points;
  if (of(Arm::base) == curves.end() || of(Arm::lora) == curves.end()) return points;
  for (CurvePoint p : of(Arm::lora)->points) {
    const auto& base = of(Arm::base)->points;
    const auto at = std::find_if(base.begin(), base.end(), [&](const CurvePoint& b) { return b.token == p.token; });
    if (at == base.end() || at->ppl == 0) continue;
    const auto percent = [&](std::optional<double> ppl) { return change_percent(std::optional(at->ppl), ppl); };
    const auto change = percent(p.ppl);
    if (!change) continue;
    p.low = percent(p.low);
    p.high = percent(p.high);
    p.ppl = *change;
    p.seed_sd.reset();  // of a perplexity, not of its change
    points.push_back(p);
  }
  return points;
}

std::string change_figure(const std::vector<ChangeSeries>& series, const std::string& title, const Caption& caption) {
  double end = 1, low = 0, high = 0;
  std::size_t named = 0;
  for (const ChangeSeries& s : series) named += s.named;
  const bool bands = named == series.size() && named <= kMostBands;
  for (const ChangeSeries& s : series)
    for (const CurvePoint& p : s.points) {
      end = std::max(end, p.token + s.points.front().token);  // the first bin's middle is half of its width
      low = std::min({low, p.ppl, bands ? p.low.value_or(p.ppl) : p.ppl});
      high = std::max({high, p.ppl, bands ? p.high.value_or(p.ppl) : p.ppl});
    }
  std::vector<std::string> names;
  for (const ChangeSeries& s : series) names.push_back(s.named ? s.name : "");
  const Points places = legend_places(names, head_height(caption, kFigureWidth) + 14);
  const double top = (places.empty() ? head_height(caption, kFigureWidth) : places.back().second) + 44;
  const double bottom = top + kChangeHeight;
  Svg svg(kFigureWidth, bottom + 56, title, caption);
  const Scale x{0, end, kPlotLeft, kFigureWidth - kPlotRight, false};
  const Scale y = nice_scale(low, high, bottom, top, 6);
  svg.axes(x, y, "position in the book [tokens]", "change of perplexity against the base [%]", true, true);
  svg.line(kPlotLeft, y(0), kFigureWidth - kPlotRight, y(0), "axis");
  const auto colour_of = [&](std::size_t s) {  // unnamed ones lie under the others, in grey
    std::size_t before = 0;
    for (std::size_t i = 0; i < s; ++i) before += series[i].named;
    return series[s].named ? 1 + before % (kSeriesColours - 1) : 0;
  };
  for (const bool of_named : {false, true})
    for (std::size_t s = 0; s < series.size(); ++s) {
      if (series[s].named != of_named) continue;
      const std::size_t colour = colour_of(s);
      if (bands) draw_band(svg, series[s], colour, x, y);
      Points line;
      for (const CurvePoint& p : series[s].points) line.emplace_back(x(p.token), y(p.ppl));
      svg.path(line, fmt::format("curve s{}{}", colour, of_named ? "" : " thin"));
      draw_marks(svg, series[s], colour, x, y);
      if (!of_named) continue;
      svg.sample(places[s].first, places[s].second, colour);
      svg.text(places[s].first + 26, places[s].second + 4, shortened(series[s].name, kLongestLegend));
    }
  return svg.inline_text();
}

}  // namespace templora
