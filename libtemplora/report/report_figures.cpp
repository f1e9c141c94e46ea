#include <fmt/format.h>

#include <algorithm>

#include "report/figures.h"
#include "report/markdown.h"
#include "report/run_groups.h"

namespace templora {
namespace {

constexpr std::size_t kMostPositionFigures = 4, kMostSeries = 6, kMostHeatMaps = 12;

std::string run_names(const std::vector<RunSummary>& runs, const RunGroup& group) {
  std::string out;
  for (const std::size_t i : group.runs)
    out += fmt::format("{}{} (config {})", out.empty() ? "" : ", ", runs[i].name, runs[i].config_hash());
  return out;
}

std::string over_seeds(const RunGroup& group) {
  return group.runs.size() > 1 ? fmt::format(", a book's mean over {} seeds", group.runs.size()) : "";
}

/// Perplexity groups with a table, the best change first.
std::vector<RunGroup> perplexity_groups(const std::vector<RunSummary>& runs) {
  std::vector<RunGroup> groups = group_runs(runs, "perplexity");
  std::erase_if(groups, [&](const RunGroup& group) {
    return std::any_of(group.runs.begin(), group.runs.end(), [&](std::size_t i) { return !runs[i].table; });
  });
  return groups;
}

double change_of(const std::vector<RunSummary>& runs, const RunGroup& group) {
  const auto& measures = runs[group.runs.front()].measures;
  const auto found = measures.find("change");
  return found == measures.end() ? 1e300 : found->second;
}

/// The groups with the best change, in their own order, and a sentence on those left out.
std::vector<RunGroup> best_of(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                              std::size_t most, std::string& note) {
  if (groups.size() <= most) return groups;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < groups.size(); ++i) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return change_of(runs, groups[a]) < change_of(runs, groups[b]);
  });
  order.resize(most);
  std::sort(order.begin(), order.end());
  std::vector<RunGroup> best;
  for (const std::size_t i : order) best.push_back(groups[i]);
  note += fmt::format(" The {} settings with the best change of {}; all are in the tables.", most, groups.size());
  return best;
}

std::string books_of(std::int64_t books) { return books == 1 ? "the book" : fmt::format("{} books", books); }

std::vector<PositionCurve> curves_of(const std::vector<RunSummary>& runs, const RunGroup& group) {
  std::vector<const PositionBins*> seeds;
  for (const std::size_t r : group.runs) seeds.push_back(&*runs[r].bins);
  return position_curves(seeds);
}

/// Relative change by position, all settings in one picture; those with the best change have names.
void add_changes(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                 std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<RunGroup> best = best_of(runs, groups, kMostSeries, left_out);
  std::vector<ChangeSeries> series;
  bool interval = false;
  for (const RunGroup& group : groups) {
    const bool named = std::any_of(best.begin(), best.end(), [&](const RunGroup& b) { return b.runs == group.runs; });
    ChangeSeries one{group_name(runs, group), change_points(curves_of(runs, group)), named};
    for (const CurvePoint& p : one.points) interval |= p.low.has_value();
    if (!one.points.empty()) series.push_back(std::move(one));
  }
  if (series.empty()) return;
  const std::string title = "Change of perplexity by position";
  std::string marks = "100 · (Temp-LoRA's perplexity / the base's − 1) in each bin of positions; below 0 is better.";
  if (interval && series.size() <= 3) marks += " Bands: 95 % interval over books.";
  if (series.size() > best.size())
    marks += fmt::format(" The {} settings with the best change of {} have names.", best.size(), series.size());
  const std::string settings = common_settings(runs, runs_of(groups));
  figures.push_back({"changes", title, "", change_figure(series, title, {settings, marks})});
}

void add_positions(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                   std::vector<Figure>& figures) {
  std::string left_out;
  const std::vector<RunGroup> shown = best_of(runs, groups, kMostPositionFigures, left_out);
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const std::vector<PositionCurve> curves = curves_of(runs, shown[i]);
    if (curves.empty()) continue;
    const std::int64_t books = runs[shown[i].runs.front()].table->all.back().books;
    bool band = false;
    for (const PositionCurve& curve : curves)
      for (const CurvePoint& p : curve.points) band |= p.low.has_value();
    const std::string marks =
        band ? "Bands: 95 % interval over books of the paired change, on the base's line."
        : books < kFewestBooks ? "No interval: fewer than 6 books."
                               : "No interval: one side was not scored, or nearly all books are equal.";
    // Of several the title says which one this is, and the line under it what they share; a name that has no room in
    // the title stands in that line.
    const std::string& label = shown[i].label;
    const bool fits = title_fits(label, kFigureWidth);
    const std::string whole = fmt::format("{}{}erplexity by position", label, label.empty() ? "P" : ": p");
    const std::string title = label.empty() || title_fits(whole, kFigureWidth) ? whole : label;
    figures.push_back({fmt::format("position_{}", i + 1), title,
                       fmt::format("exp(mean over {} of the mean NLL in each bin{}). From {}.{}", books_of(books),
                                   over_seeds(shown[i]), run_names(runs, shown[i]), left_out),
                       position_figure(curves, title,
                                       {common_settings(runs, fits ? runs_of(shown) : shown[i].runs,
                                                        fits ? "" : label),
                                        marks})});
  }
}

void add_segments(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                  std::vector<Figure>& figures) {
  std::string note;
  const std::vector<RunGroup> shown = best_of(runs, groups, kMostSeries, note);
  const auto has_change = [](const SegmentRow& row) { return row.over_books.contains(Arm::lora); };
  std::vector<std::string> categories;  // of all runs, before any point takes its place among them; "all" is the last
  for (const RunGroup& group : shown)
    for (const SegmentRow& row : runs[group.runs.front()].table->all)
      if (has_change(row) && row.label != "all" &&
          std::find(categories.begin(), categories.end(), row.label) == categories.end())
        categories.push_back(row.label);
  categories.push_back("all");
  std::vector<CategorySeries> series;
  std::string names;
  bool whiskers = false;
  for (const RunGroup& group : shown) {
    const std::vector<SegmentRow>& rows = runs[group.runs.front()].table->all;
    CategorySeries one{group_name(runs, group), {}};
    for (std::size_t s = 0; s < rows.size(); ++s) {
      const Cell change = book_cell(runs, group.runs, s, Arm::lora);
      if (!change.value) continue;
      whiskers |= change.low.has_value();
      const auto category = std::find(categories.begin(), categories.end(), rows[s].label);
      one.points.push_back({static_cast<std::size_t>(category - categories.begin()), *change.value, change.low,
                            change.high, fmt::format("{} books, {} tokens", rows[s].books, grouped(rows[s].tokens)),
                            change.seed_sd});
    }
    if (one.points.empty()) continue;
    series.push_back(std::move(one));
    names += fmt::format("{}{}", names.empty() ? "From " : "; ", run_names(runs, group));
  }
  if (series.empty()) return;
  std::string marks = "Mean over books of the change of PPL against the base; below 0 Temp-LoRA is better.";
  marks += whiskers ? " Whiskers: 95 % interval over books." : " No interval: fewer than 6 books.";
  if (std::any_of(shown.begin(), shown.end(), [](const RunGroup& group) { return group.runs.size() > 1; }))
    marks += " With several seeds a book's change is its mean over them.";
  const std::string title = "Change of perplexity by segment";
  figures.push_back({"segments", title, names + "." + note,
                     category_figure(categories, series, title, "segment of the book [tokens]", "change of PPL [%]",
                                     {common_settings(runs, runs_of(shown)), marks})});
}

Caption heat_caption(const std::vector<RunSummary>& runs, const SweepSlice& slice) {
  std::vector<std::size_t> among;
  bool missing = false;
  std::int64_t seeds = 0;
  for (const auto& row : slice.cells)
    for (const Cell& cell : row) {
      among.insert(among.end(), cell.runs.begin(), cell.runs.end());
      missing |= !cell.value;
      seeds = std::max(seeds, cell.seeds);
    }
  std::string marks = slice.value == "change" ? "Temp-LoRA against the base on all tokens; below 0 is better." : "";
  if (seeds > 1) marks += fmt::format(" Mean of {} seeds.", seeds);
  if (missing) marks += " Dashed: not run, or not finished.";
  return {common_settings(runs, among), marks};
}

}  // namespace

std::vector<Figure> report_figures(const std::vector<RunSummary>& runs, const std::vector<SweepSlice>& slices) {
  std::vector<Figure> figures;
  const std::vector<RunGroup> groups = perplexity_groups(runs);
  for (std::size_t i = 0; i < slices.size() && i < kMostHeatMaps; ++i) {
    if (slices[i].column_key.empty() || (slices[i].rows.size() < 2 && slices[i].columns.size() < 2)) continue;
    const std::string title = fmt::format("{} by {} and {}", measure_title(slices[i].value),
                                          short_name(slices[i].row_key), short_name(slices[i].column_key));
    figures.push_back(
        {fmt::format("heat_{}", i + 1), title, "", heat_figure(slices[i], heat_caption(runs, slices[i]))});
  }
  add_changes(runs, groups, figures);
  add_segments(runs, groups, figures);
  add_positions(runs, groups, figures);
  for (Figure& figure : cost_figures(runs)) figures.push_back(std::move(figure));
  return figures;
}

}  // namespace templora
