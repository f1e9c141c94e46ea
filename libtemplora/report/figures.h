#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "report/position_curve.h"
#include "report/report.h"
#include "report/svg.h"
#include "report/sweep_slices.h"

namespace templora {

// Each draws plain numbers; values stand in data attributes and titles of the marks with full precision. All are
// inline SVG; stand_alone() makes a file of one. Nothing to draw still gives a picture.

/// Perplexity against position: a line for each arm, the interval of its change as a band. As a run's folder has it.
std::string position_figure(const std::vector<PositionCurve>& curves, const std::string& title);
/// The same for a report.
std::string position_figure(const std::vector<PositionCurve>& curves, const std::string& title, const Caption& caption);

/// Change of perplexity by position of one setting, in percent.
struct ChangeSeries {
  std::string name;
  std::vector<CurvePoint> points;  ///< whose ppl, low and high are changes in percent
  bool named = true;               ///< else a thin grey line
};

/// Temp-LoRA against the base in each bin that both have: 100 · (ppl / base's ppl − 1), with its interval.
std::vector<CurvePoint> change_points(const std::vector<PositionCurve>& curves);

/// Change against position, all series in one picture; intervals as bands where few are named.
std::string change_figure(const std::vector<ChangeSeries>& series, const std::string& title, const Caption& caption);

/// A value with its interval, in one of the figure's categories.
struct CategoryPoint {
  std::size_t category = 0;
  double value = 0;
  std::optional<double> low, high;
  std::string what;  ///< for its title: "12 books, 1,200,000 tokens"
  std::optional<double> seed_sd = {};  ///< standard deviation over seeds, where there are several
};
struct CategorySeries {
  std::string name;
  std::vector<CategoryPoint> points;
};

/// Values by category, the series side by side, with whiskers.
std::string category_figure(const std::vector<std::string>& categories, const std::vector<CategorySeries>& series,
                            const std::string& title, const std::string& x_name, const std::string& y_name,
                            const Caption& caption = {});

/// A slice of a sweep as a map of coloured cells with their numbers. Throws Error(usage) for a single axis.
std::string heat_figure(const SweepSlice& slice, const Caption& caption = {});

struct CostPoint {
  std::string name;
  double cost = 0;     ///< above 0
  double quality = 0;  ///< lower is better
  std::optional<double> seed_sd = {};  ///< of the quality over seeds, where there are several
  bool plain = false;  ///< of a model that learns nothing
};

/// Indices of the points that no other beats: none is as good in both and better in one. By rising cost.
std::vector<std::size_t> pareto_front(const std::vector<CostPoint>& points);

/// Cost against quality: the front as a line; names first of the front's points, then of all others that have room.
std::string cost_figure(const std::vector<CostPoint>& points, const std::string& title, const std::string& cost_name,
                        const std::string& quality_name, const Caption& caption = {});

/// Named parts of a whole.
struct StackedBar {
  std::string name;
  std::vector<std::pair<std::string, double>> parts;
};

/// Horizontal bars of parts, in the order of the parts' first appearance.
std::string bar_figure(const std::vector<StackedBar>& bars, const std::string& title, const std::string& x_name,
                       const Caption& caption = {});

/// All figures of a report.
std::vector<Figure> report_figures(const std::vector<RunSummary>& runs, const std::vector<SweepSlice>& slices);

/// Of them what settings cost: against their quality, and by phase.
std::vector<Figure> cost_figures(const std::vector<RunSummary>& runs);

}  // namespace templora
