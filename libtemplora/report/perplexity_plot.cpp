#include "report/perplexity_plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace templora {
namespace {

constexpr double kWidth = 760, kHeight = 420, kLeft = 70, kRight = 24, kTop = 56, kBottom = 58;
constexpr std::int64_t kBins = 60;

struct Point {
  double tokens, ppl;
};

/// The step among 1, 2, 5 · 10^n that cuts `range` into at most `most` parts.
double nice_step(double range, int most) {
  const double raw = std::max(range, 1e-12) / most;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0, 10.0})
    if (factor * power >= raw * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

std::string tokens_name(double tokens) { return tokens >= 1000 ? fmt::format("{:g}K", tokens / 1000) : fmt::format("{:g}", tokens); }

/// exp(mean NLL) of each bin that holds scored tokens.
std::vector<Point> binned(const RunData& run, Scorer scorer, double bin_tokens) {
  std::vector<double> sums, counts;
  std::map<std::int64_t, std::size_t> read;  // values of each book used so far
  for (const ChunkRecord& chunk : run.chunks) {
    const auto book = run.nll.find(chunk.book_index);
    if (book == run.nll.end() || !book->second.contains(scorer)) continue;
    const std::vector<float>& values = book->second.at(scorer);
    std::size_t& at = read[chunk.book_index];
    const std::int64_t end = chunk.first_token + chunk.tokens;
    for (std::int64_t t = end - chunk.scored_tokens; t < end && at < values.size(); ++t, ++at) {
      const auto bin = static_cast<std::size_t>(static_cast<double>(t) / bin_tokens);
      if (bin >= sums.size()) sums.resize(bin + 1), counts.resize(bin + 1);
      sums[bin] += values[at];
      counts[bin] += 1;
    }
  }
  std::vector<Point> points;
  for (std::size_t b = 0; b < sums.size(); ++b)
    if (counts[b] > 0) points.push_back({(static_cast<double>(b) + 0.5) * bin_tokens, std::exp(sums[b] / counts[b])});
  return points;
}

/// Maps tokens and perplexities to the picture.
struct Axes {
  double end_tokens, low, high;
  double x(double tokens) const { return kLeft + (kWidth - kLeft - kRight) * tokens / end_tokens; }
  double y(double ppl) const { return kHeight - kBottom - (kHeight - kTop - kBottom) * (ppl - low) / (high - low); }
};

std::string curve(const std::vector<Point>& points, const Axes& axes, const char* name) {
  if (points.empty()) return "";
  std::string path;
  for (const Point& p : points) path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : " L", axes.x(p.tokens), axes.y(p.ppl));
  std::string out = fmt::format("<path class=\"curve {}\" d=\"{}\"/>\n", name, path);
  if (points.size() == 1)  // a line of one point cannot be seen
    out += fmt::format("<circle class=\"{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", name, axes.x(points[0].tokens),
                       axes.y(points[0].ppl));
  return out;
}

std::string ticks(const Axes& axes) {
  std::string out;
  const double x_step = nice_step(axes.end_tokens, 8), y_step = nice_step(axes.high - axes.low, 6);
  for (double t = 0; t <= axes.end_tokens * (1 + 1e-9); t += x_step)
    out += fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n", axes.x(t), kHeight - kBottom + 18,
                       tokens_name(t));
  for (double p = std::ceil(axes.low / y_step - 1e-9) * y_step; p <= axes.high * (1 + 1e-9); p += y_step)
    out += fmt::format("<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
                       "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{:g}</text>\n",
                       kLeft, kWidth - kRight, axes.y(p), axes.y(p), kLeft - 8, axes.y(p) + 4, std::round(p / y_step) * y_step + 0.0);  // no "-0"
  return out;
}

constexpr const char* kStyle = R"(<style>
  .back { fill: #fff } text { fill: #333; font: 13px system-ui, sans-serif } .title { font-size: 15px; font-weight: 600 }
  .grid { stroke: #ddd } .axis { stroke: #888 }
  .curve { fill: none; stroke-width: 2; stroke-linejoin: round } .base { stroke: #7a7a7a } .lora { stroke: #0b6fb8 }
  .other_book { stroke: #c2560c } .mixed_books { stroke: #3f8a3c }
  circle.base { fill: #7a7a7a } circle.lora { fill: #0b6fb8 }
  circle.other_book { fill: #c2560c } circle.mixed_books { fill: #3f8a3c }
  @media (prefers-color-scheme: dark) {
    .back { fill: #16181c } text { fill: #ddd } .grid { stroke: #33373d } .axis { stroke: #777 }
    .base { stroke: #a0a0a0 } .lora { stroke: #5db4f0 } .other_book { stroke: #f0965a } .mixed_books { stroke: #7cc878 }
    circle.base { fill: #a0a0a0 } circle.lora { fill: #5db4f0 }
  }
</style>
)";

}  // namespace

std::string perplexity_svg(const RunData& run) {
  std::int64_t longest = 1;
  for (const ChunkRecord& chunk : run.chunks) longest = std::max(longest, chunk.first_token + chunk.tokens);
  const auto end_tokens = static_cast<double>(longest);
  const double bin_tokens = std::max(1.0, std::ceil(end_tokens / kBins));
  std::vector<std::pair<Scorer, std::vector<Point>>> curves;
  for (const Scorer scorer : kScorers) curves.emplace_back(scorer, binned(run, scorer, bin_tokens));

  double low = INFINITY, high = 0;
  for (const auto& [scorer, points] : curves)
    for (const Point& p : points) low = std::min(low, p.ppl), high = std::max(high, p.ppl);
  if (!std::isfinite(low)) low = 1, high = 2;
  const double step = nice_step(std::max(high - low, 0.02 * high), 6);
  const Axes axes{end_tokens, std::floor(low / step) * step, std::ceil(high / step + 1e-9) * step};

  std::string out = fmt::format("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" "
                                "aria-label=\"Perplexity against position\">\n{}",
                                kWidth, kHeight, kStyle);
  out += fmt::format("<rect class=\"back\" width=\"{}\" height=\"{}\"/>\n", kWidth, kHeight);
  out += fmt::format("<text class=\"title\" x=\"{}\" y=\"24\">Perplexity by position in the book ({} book{})</text>\n", kLeft,
                     run.books.size(), run.books.size() == 1 ? "" : "s");
  out += ticks(axes);
  out += fmt::format("<line class=\"axis\" x1=\"{0}\" x2=\"{1}\" y1=\"{2}\" y2=\"{2}\"/>\n", kLeft, kWidth - kRight, kHeight - kBottom);
  out += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">position [tokens], bins of {}</text>\n",
                     (kLeft + kWidth - kRight) / 2, kHeight - 14, static_cast<std::int64_t>(bin_tokens));
  out += fmt::format("<text transform=\"translate(18 {:.1f}) rotate(-90)\" text-anchor=\"middle\">perplexity per token</text>\n",
                     (kTop + kHeight - kBottom) / 2);
  for (const auto& [scorer, points] : curves) out += curve(points, axes, scorer_name(scorer));
  double legend_x = kLeft;
  for (const auto& [scorer, points] : curves) {
    if (points.empty()) continue;
    const char* name = scorer_name(scorer);
    out += fmt::format("<line class=\"curve {0}\" x1=\"{1}\" x2=\"{2}\" y1=\"40\" y2=\"40\"/><text x=\"{3}\" y=\"44\">{4}</text>\n", name,
                       legend_x, legend_x + 22, legend_x + 28, scorer == Scorer::lora ? "Temp-LoRA" : name);
    legend_x += scorer == Scorer::base ? 80 : 115;
  }
  return out + "</svg>\n";
}

}  // namespace templora
