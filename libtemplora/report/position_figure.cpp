#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/figures.h"
#include "report/markdown.h"
#include "report/svg.h"

namespace templora {
namespace {

std::size_t series_of(Arm arm) { return static_cast<std::size_t>(arm); }

std::string name_of(Arm arm) { return arm == Arm::lora ? "Temp-LoRA" : arm_name(arm); }

void draw_curve(Svg& svg, const PositionCurve& curve, const Scale& x, const Scale& y) {
  Points line, band, upper;
  for (const CurvePoint& p : curve.points) {
    line.emplace_back(x(p.token), y(p.ppl));
    if (!p.low || !p.high) continue;
    band.emplace_back(x(p.token), y(*p.low));
    upper.emplace_back(x(p.token), y(*p.high));
  }
  band.insert(band.end(), upper.rbegin(), upper.rend());
  if (band.size() >= 4) svg.area(band, series_of(curve.arm));
  svg.path(line, fmt::format("curve s{} {}", series_of(curve.arm), arm_name(curve.arm)));
}

void draw_marks(Svg& svg, const PositionCurve& curve, const Scale& x, const Scale& y) {
  for (const CurvePoint& p : curve.points) {
    std::string attributes = data("scorer", arm_name(curve.arm)) + data("token", p.token) + data("ppl", p.ppl);
    std::string title = fmt::format("{}: PPL {} around token {}, {} books, {} tokens", name_of(curve.arm), p.ppl,
                                    p.token, p.books, grouped(p.tokens));
    if (p.low && p.high) {
      attributes += data("low", *p.low) + data("high", *p.high);
      title += fmt::format(", 95 % interval {} to {}", *p.low, *p.high);
    }
    if (p.seed_sd) {
      attributes += data("seed-sd", *p.seed_sd);
      title += fmt::format(", standard deviation over seeds {}", *p.seed_sd);
    }
    svg.mark(x(p.token), y(p.ppl), 2.2, series_of(curve.arm), attributes, title);
  }
}

/// Where the frame of a picture lies.
struct Look {
  double width, height, left, right, top, bottom;  // margins in
  bool upright;                                    // y's name above the axis
};

constexpr Look kOfRun{760, 420, 72, 132, 48, 58, false};

std::string drawn(const std::vector<PositionCurve>& curves, const Look& look, Svg svg) {
  double end = 1, low = INFINITY, high = -INFINITY;
  std::int64_t bin_tokens = 1;
  for (const PositionCurve& curve : curves)
    for (const CurvePoint& p : curve.points) {
      bin_tokens = curve.bin_tokens;
      end = std::max(end, p.token + static_cast<double>(curve.bin_tokens) / 2);
      low = std::min({low, p.ppl, p.low.value_or(p.ppl)});
      high = std::max({high, p.ppl, p.high.value_or(p.ppl)});
    }
  const Scale x{0, end, look.left, look.width - look.right, false};
  const Scale y = nice_scale(low, high, look.height - look.bottom, look.top, 6);
  svg.axes(x, y, fmt::format("position in the book [tokens], bins of {}", grouped(bin_tokens)), "perplexity per token",
           true, look.upright);
  for (const PositionCurve& curve : curves) draw_curve(svg, curve, x, y);
  std::vector<double> ends;
  for (const PositionCurve& curve : curves) {
    draw_marks(svg, curve, x, y);
    ends.push_back(curve.points.empty() ? y.to : y(curve.points.back().ppl));
  }
  ends = spread(ends, 17, look.top + 6, look.height - look.bottom - 4);
  for (std::size_t i = 0; i < curves.size(); ++i) {
    if (curves[i].points.empty()) continue;
    svg.sample(look.width - look.right + 8, ends[i], series_of(curves[i].arm));
    svg.text(look.width - look.right + 33, ends[i] + 4, name_of(curves[i].arm));
  }
  return svg.inline_text();
}

}  // namespace

std::string position_figure(const std::vector<PositionCurve>& curves, const std::string& title) {
  return drawn(curves, kOfRun, Svg(kOfRun.width, kOfRun.height, title));
}

std::string position_figure(const std::vector<PositionCurve>& curves, const std::string& title,
                            const Caption& caption) {
  const double top = head_height(caption, kFigureWidth) + 34;
  const Look look{kFigureWidth, top + 340, 58, 134, top, 56, true};
  return drawn(curves, look, Svg(look.width, look.height, title, caption));
}

}  // namespace templora
