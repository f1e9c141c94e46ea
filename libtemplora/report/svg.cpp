#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <sstream>

#include "report/markdown.h"

namespace templora {
namespace {

// Base, Temp-LoRA, then others: grey, blue, vermilion, green, purple, amber, brown (after Okabe and Ito 2008),
// darker on white and lighter on black than theirs.
constexpr const char* kLight[kSeriesColours] = {"#6b6b6b", "#0072b2", "#c2500a", "#00795a",
                                                "#a3457c", "#946200", "#6b4423"};
constexpr const char* kDark[kSeriesColours] = {"#a8a8a8", "#5db4f0", "#f0965a", "#4cc9a0",
                                               "#e39ac4", "#f0c050", "#c99b6b"};

std::string colours(const char* const (&palette)[kSeriesColours]) {
  std::string out;
  for (std::size_t i = 0; i < kSeriesColours; ++i)
    out += fmt::format(".chart .s{0}{{stroke:{1}}}.chart .f{0}{{fill:{1}}}\n", i, palette[i]);
  return out;
}

std::string titled(const std::string& title) {
  return title.empty() ? "" : "<title>" + xml_escaped(title) + "</title>";
}

/// The title as far as it goes in a width; the whole of it is the picture's label.
std::string fitting(const std::string& title, double width) {
  return shortened(title, static_cast<std::size_t>((width - 40) / 10.8));
}

constexpr double kTitleHeight = 34, kSmallLine = 18, kSmallSize = 0.9;

std::vector<std::string> small_lines(const std::string& text, double width) {
  return wrapped(text, (width - 32) / kSmallSize);
}

/// Settings in lines of about one length, cut between two of them: none stands alone in the last one.
std::vector<std::string> setting_lines(const std::string& text, double width) {
  constexpr char kKept = '\x1f';  // a space within a setting
  std::string kept = text;
  for (std::size_t i = 1; i < kept.size(); ++i)
    if (kept[i] == ' ' && kept[i - 1] != ',') kept[i] = kKept;
  std::vector<std::string> lines = small_lines(kept, width);
  for (double narrower = width - 8; lines.size() > 1 && narrower > width / 3; narrower -= 8) {
    std::vector<std::string> other = small_lines(kept, narrower);
    if (other.size() > lines.size()) break;
    lines = std::move(other);
  }
  for (std::string& line : lines) std::replace(line.begin(), line.end(), kKept, ' ');
  return lines;
}

/// A marker around the origin: circle, square, triangle, diamond, triangle downwards, cross, plus.
std::string marker(std::size_t series, double s) {
  switch (series % kSeriesColours) {
    case 0: case 1: return "";
    case 2: return fmt::format("M{0:.2f} {0:.2f}H{1:.2f}V{1:.2f}H{0:.2f}Z", -0.9 * s, 0.9 * s);
    case 3: return fmt::format("M0 {:.2f}L{:.2f} {:.2f}H{:.2f}Z", -1.2 * s, 1.1 * s, 0.8 * s, -1.1 * s);
    case 4: return fmt::format("M0 {0:.2f}L{1:.2f} 0L0 {1:.2f}L{0:.2f} 0Z", -1.25 * s, 1.25 * s);
    case 5: return fmt::format("M0 {:.2f}L{:.2f} {:.2f}H{:.2f}Z", 1.2 * s, 1.1 * s, -0.8 * s, -1.1 * s);
    default:
      return fmt::format(
          "M{0:.2f} {1:.2f}H{1:.2f}V{0:.2f}H{2:.2f}V{1:.2f}H{3:.2f}V{2:.2f}H{2:.2f}V{3:.2f}H{1:.2f}V{2:.2f}H{0:.2f}Z",
          -1.2 * s, -0.4 * s, 0.4 * s, 1.2 * s);
  }
}

}  // namespace

std::string xml_escaped(const std::string& text) {
  std::string out;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find_first_of("\n\t", start), text.size());  // which may stay
    for (const char c : printable(std::string_view(text).substr(start, end - start), kLongText)) {
      switch (c) {
        case '&': out += "&amp;"; break;
        case '<': out += "&lt;"; break;
        case '>': out += "&gt;"; break;
        case '"': out += "&quot;"; break;
        case '\'': out += "&#39;"; break;
        default: out += c;
      }
    }
    if (end < text.size()) out += text[end];
    start = end + 1;
  }
  return out;
}

bool title_fits(const std::string& title, double width) { return fitting(title, width) == title; }

double Scale::operator()(double value) const {
  const auto place = [this](double v) { return log ? std::log(std::max(v, 1e-300)) : v; };
  const double range = place(high) - place(low);
  return range == 0 ? (from + to) / 2 : from + (to - from) * (place(value) - place(low)) / range;
}

double nice_step(double range, int most) {
  const double raw = std::max(range, 1e-12) / most;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0})
    if (factor * power >= raw * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

Scale nice_scale(double low, double high, double from, double to, int most, bool log) {
  if (!std::isfinite(low) || !std::isfinite(high)) low = log ? 1 : 0, high = log ? 10 : 1;
  if (log) {
    const double floor = std::pow(10.0, std::floor(std::log10(low)));
    double top = std::pow(10.0, std::floor(std::log10(high)));
    for (const double factor : {5.0, 2.0, 1.0})
      if (factor * floor <= low) { low = factor * floor; break; }
    for (const double factor : {1.0, 2.0, 5.0, 10.0})
      if (factor * top >= high * (1 - 1e-9)) { high = factor * top; break; }
    if (high <= low) high = 2 * low;
    return {low, high, from, to, true};
  }
  const double least = std::max({std::abs(low), std::abs(high), 1e-9}) * 0.02;
  const double step = nice_step(std::max(high - low, least), most);
  low = std::floor(low / step + 1e-9) * step;
  high = std::ceil(high / step - 1e-9) * step;
  if (high <= low) high = low + step;
  return {low, high, from, to, false};
}

std::vector<double> ticks(const Scale& scale, int most) {
  std::vector<double> out;
  if (scale.log) {
    const bool all = std::log10(scale.high / scale.low) < 2.5;
    for (double power = std::pow(10.0, std::floor(std::log10(scale.low))); power <= scale.high * (1 + 1e-9);
         power *= 10)
      for (const double factor : {1.0, 2.0, 5.0})
        if ((all || factor == 1) && factor * power >= scale.low * (1 - 1e-9) &&
            factor * power <= scale.high * (1 + 1e-9))
          out.push_back(factor * power);
    return out;
  }
  const double step = nice_step(scale.high - scale.low, most);
  for (double k = std::ceil(scale.low / step - 1e-9); k * step <= scale.high + 1e-9 * step; ++k)
    out.push_back(k * step + 0.0);  // no "-0"
  return out;
}

std::string tick_text(double value, bool positions) {
  if (positions && std::abs(value) >= 1000) return fmt::format("{:g}K", value / 1000);
  return fmt::format("{:.6g}", value);
}

double text_width(const std::string& text) {
  double width = 0;
  for (const char c : text)
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80)
      width += c == ' ' || c == '.' || c == ',' || c == 'i' || c == 'l' ? 4.8 : 8.8;
  return width;
}

std::string shortened(const std::string& text, std::size_t most) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i)
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80 && ++count > most) return text.substr(0, i) + "…";
  return text;
}

std::vector<std::string> wrapped(const std::string& text, double width) {
  std::vector<std::string> lines;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (lines.empty() || text_width(lines.back() + " " + word) > width)
      lines.push_back(word);
    else
      lines.back() += " " + word;
  }
  return lines;
}

double head_height(const Caption& caption, double width) {
  return kTitleHeight + kSmallLine * static_cast<double>(setting_lines(caption.settings, width).size());
}

std::vector<double> spread(std::vector<double> wanted, double gap, double low, double high) {
  std::vector<std::size_t> order(wanted.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return wanted[a] < wanted[b]; });
  double least = low;
  for (const std::size_t i : order) {
    wanted[i] = std::max(wanted[i], least);
    least = wanted[i] + gap;
  }
  double most = high;
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    wanted[*it] = std::min(wanted[*it], most);
    most = wanted[*it] - gap;
  }
  return wanted;
}

std::string chart_style() {
  return ".chart .back{fill:#fff}.chart text{fill:#222;font:15px system-ui,-apple-system,'Segoe UI','DejaVu "
         "Sans',sans-serif}"
         ".chart .title{font-size:17px;font-weight:600}.chart .small{font-size:13.5px}.chart .dim{fill:#555}.chart "
         ".on-light{fill:#111}.chart .on-dark{fill:#fff}\n"
         ".chart .grid{stroke:#e2e2e2}.chart .axis{stroke:#777}.chart .whisker{stroke-width:1.5}.chart "
         ".none{fill:none;stroke:#bbb;stroke-dasharray:3 3}\n"
         ".chart .curve{fill:none;stroke-width:2;stroke-linejoin:round}.chart .thin{stroke-width:1}.chart "
         ".area{opacity:.18}.chart .front{fill:none;stroke-dasharray:6 4}.chart .ring{fill:none;stroke-width:1.5}\n" +
         colours(kLight) +
         "@media (prefers-color-scheme:dark){.chart .back{fill:#16181c}.chart text{fill:#e4e4e4}.chart "
         ".dim{fill:#aaa}.chart .on-light{fill:#111}.chart .on-dark{fill:#fff}"
         ".chart .grid{stroke:#33373d}.chart .axis{stroke:#888}.chart .none{stroke:#555}.chart .area{opacity:.26}\n" +
         colours(kDark) + "}\n";
}

Points legend_places(const std::vector<std::string>& names, double top) {
  Points places;
  double x = 16, y = top;
  for (const std::string& name : names) {
    const double width = name.empty() ? 0 : 46 + text_width(shortened(name, kLongestLegend));
    if (x > 16 && x + width > kFigureWidth - kPlotRight) x = 16, y += kLegendLine;
    places.emplace_back(x, y);
    x += width;
  }
  return places;
}

std::string data(const char* name, double value) { return fmt::format(" data-{}=\"{}\"", name, value); }
std::string data(const char* name, const std::string& value) {
  return fmt::format(" data-{}=\"{}\"", name, xml_escaped(value));
}

Svg::Svg(double width, double height, const std::string& title) : width_(width), height_(height), title_(title) {}

Svg::Svg(double width, double height, const std::string& title, const Caption& caption)
    : width_(width), height_(height), title_(title), caption_(caption) {
  double y = kTitleHeight + kSmallLine - 3;
  for (const std::string& line : setting_lines(caption.settings, width)) {
    text(16, y, line, "start", "small dim");
    y += kSmallLine;
  }
  for (const std::string& line : small_lines(caption.marks, width)) {
    height_ += kSmallLine;
    text(16, height_ - 8, line, "start", "small dim");
  }
}

void Svg::text(double x, double y, const std::string& text, const char* anchor, const char* style, double rotate) {
  body_ += fmt::format("<text x=\"{0:.1f}\" y=\"{1:.1f}\"{2}{3}{4}>{5}</text>\n", x, y,
                       std::string_view(anchor) == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor),
                       *style ? fmt::format(" class=\"{}\"", style) : "",
                       rotate != 0 ? fmt::format(" transform=\"rotate({:g} {:.1f} {:.1f})\"", rotate, x, y) : "",
                       xml_escaped(text));
}

void Svg::line(double x1, double y1, double x2, double y2, const std::string& style) {
  body_ += fmt::format("<line class=\"{}\" x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\"/>\n", style, x1, y1,
                       x2, y2);
}

void Svg::path(const Points& points, const std::string& style) {
  std::string d;
  for (const auto& [x, y] : points) d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? "M" : " L", x, y);
  body_ += fmt::format("<path class=\"{}\" d=\"{}\"/>\n", style, d);
}

void Svg::area(const Points& points, std::size_t series) {
  std::string d;
  for (const auto& [x, y] : points) d += fmt::format("{}{:.1f} {:.1f}", d.empty() ? "M" : " L", x, y);
  body_ += fmt::format("<path class=\"area f{}\" d=\"{}Z\"/>\n", series % kSeriesColours, d);
}

void Svg::mark(double x, double y, double size, std::size_t series, const std::string& attributes,
               const std::string& title) {
  const std::size_t colour = series % kSeriesColours;
  if (const std::string shape = marker(series, size); shape.empty())
    body_ += fmt::format("<circle class=\"mark f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"{:g}\"{}>{}</circle>\n", colour, x,
                         y, size, attributes, titled(title));
  else
    body_ += fmt::format("<path class=\"mark f{}\" d=\"{}\" transform=\"translate({:.1f} {:.1f})\"{}>{}</path>\n",
                         colour, shape, x, y, attributes, titled(title));
}

void Svg::box(double x, double y, double width, double height, const std::string& style, const std::string& attributes,
              const std::string& title) {
  body_ += fmt::format("<rect {} x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\"{}>{}</rect>\n", style, x,
                       y, std::max(0.0, width), std::max(0.0, height), attributes, titled(title));
}

void Svg::sample(double x, double y, std::size_t series) {
  line(x, y, x + 20, y, fmt::format("curve s{}", series % kSeriesColours));
  mark(x + 10, y, 3.5, series, "", "");
}

void Svg::axes(const Scale& x, const Scale& y, const std::string& x_name, const std::string& y_name, bool x_positions,
               bool upright) {
  for (const double v : ticks(y, 6)) {
    line(x.from, y(v), x.to, y(v), "grid");
    text(x.from - 8, y(v) + 5, tick_text(v), "end");
  }
  for (const double v : ticks(x, 7)) {
    line(x(v), y.from, x(v), y.from + 4, "axis");
    text(x(v), y.from + 20, tick_text(v, x_positions), "middle");
  }
  line(x.from, y.from, x.to, y.from, "axis");
  text((x.from + x.to) / 2, y.from + 43, x_name, "middle");
  if (upright)
    text(16, y.to - 14, y_name);
  else
    text(20, (y.from + y.to) / 2, y_name, "middle", "", -90);
}

std::string Svg::inline_text() const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {} {}\" "
      "style=\"max-width:{}px;min-width:{}px\" role=\"img\" aria-label=\"{}\">\n"
      "<rect class=\"back\" width=\"{}\" height=\"{}\"/>\n<text class=\"title\" x=\"16\" "
      "y=\"24\">{}</text>\n{}</svg>\n",
      width_, height_, width_, std::min(width_, 540.0), xml_escaped(title_), width_, height_,
      xml_escaped(fitting(title_, width_)), body_);
}

std::string stand_alone(const std::string& inline_svg) {
  const std::size_t end = inline_svg.find('>') + 1;
  return inline_svg.substr(0, end) + "\n<style>\n" + chart_style() + "</style>" + inline_svg.substr(end);
}

}  // namespace templora
