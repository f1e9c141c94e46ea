#pragma once

#include <string>
#include <utility>
#include <vector>

// Pieces of charts as SVG: scales, axes, marks that carry their values. Colours are readable on white and on black and
// tell apart without hue (series differ by marker too); text is drawn in the ink colour, never in a series' own.

namespace templora {

/// Text as it may stand in XML and HTML, between tags or in a quoted attribute.
std::string xml_escaped(const std::string& text);

/// Maps values to the picture, evenly or by their logarithm.
struct Scale {
  double low = 0, high = 1;  ///< values
  double from = 0, to = 1;   ///< picture
  bool log = false;
  double operator()(double value) const;
};

/// The step among 1, 2, 5 · 10^n that cuts `range` into at most `most` parts.
double nice_step(double range, int most);

/// A scale that holds [low, high] and ends at ticks; for logarithms both must be above 0.
Scale nice_scale(double low, double high, double from, double to, int most, bool log = false);

/// Tick values inside a scale: multiples of a nice step; 1, 2, 5 · 10^n or 10^n on a logarithmic one.
std::vector<double> ticks(const Scale& scale, int most);

/// "200K" for positions, else as short as it can be.
std::string tick_text(double value, bool positions = false);

/// About how wide a text of the usual size is drawn.
double text_width(const std::string& text);

/// Text of at most `most` letters; what is longer ends in "…".
std::string shortened(const std::string& text, std::size_t most);

/// The most letters of a name that a legend of a report's figures has room for in a line of its own.
inline constexpr std::size_t kLongestLegend = 50;

/// Width of the figures of a report: their text is readable where a telephone shows them as wide as its screen.
inline constexpr double kFigureWidth = 520;

/// Around the plot of a report's figures, and a line of its legend.
inline constexpr double kPlotLeft = 58, kPlotRight = 16, kLegendLine = 20;

/// Moves label positions apart so that they keep `gap`, each as near to its own as the others let it, inside [low,
/// high].
std::vector<double> spread(std::vector<double> wanted, double gap, double low, double high);

/// Colours and fonts of all charts, for one <style> in a page or in a file of its own.
std::string chart_style();

inline constexpr std::size_t kSeriesColours = 7;

using Points = std::vector<std::pair<double, double>>;

/// Where each entry of a legend that begins at `top` stands, wrapped into lines; a series without a name takes no room.
Points legend_places(const std::vector<std::string>& names, double top);

/// Attributes that carry a mark's values with full precision: data-NAME="…".
std::string data(const char* name, double value);
std::string data(const char* name, const std::string& value);

/// Words of a figure beside its title: what a file that stands alone has to say.
struct Caption {
  std::string settings;  ///< under the title: "small-6m, Δ 256, rank 64"
  std::string marks;     ///< below the picture: "Band: 95 % interval over 8 books."
};

/// Whether a title of a picture is drawn whole.
bool title_fits(const std::string& title, double width);

/// Where a picture with a title and these settings begins.
double head_height(const Caption& caption, double width);

/// Text in lines of at most `width` user units, cut at spaces.
std::vector<std::string> wrapped(const std::string& text, double width);

/// A picture that grows by its pieces. Coordinates are in user units, y down; `series` picks colour and marker.
class Svg {
 public:
  Svg(double width, double height, const std::string& title);
  /// With the caption's words; `height` is without those below. What is drawn begins under head_height().
  Svg(double width, double height, const std::string& title, const Caption& caption);
  void text(double x, double y, const std::string& text, const char* anchor = "start", const char* style = "",
            double rotate = 0);
  void line(double x1, double y1, double x2, double y2, const std::string& style);
  void path(const Points& points, const std::string& style);
  void area(const Points& points, std::size_t series);
  /// A marker of the series; `attributes` from data(), `title` is shown where the pointer rests.
  void mark(double x, double y, double size, std::size_t series, const std::string& attributes,
            const std::string& title);
  void box(double x, double y, double width, double height, const std::string& style, const std::string& attributes,
           const std::string& title);
  /// A short line with a marker, as in a legend.
  void sample(double x, double y, std::size_t series);
  /// Grid, ticks and names of both axes of a frame; `upright` writes that of y above the axis instead of along it.
  void axes(const Scale& x, const Scale& y, const std::string& x_name, const std::string& y_name, bool x_positions,
            bool upright = false);
  /// To stand in a page that has chart_style().
  std::string inline_text() const;

 private:
  double width_, height_;
  std::string title_, body_;
  Caption caption_;
};

/// A figure's text as a file of its own, with its colours.
std::string stand_alone(const std::string& inline_svg);

}  // namespace templora
