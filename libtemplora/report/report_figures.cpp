#include <fmt/format.h>

#include <algorithm>

#include "cost/cost.h"
#include "report/figures.h"
#include "report/markdown.h"
#include "report/run_groups.h"
#include "run/json_lines.h"

namespace templora {
namespace {

constexpr std::size_t kMostPositionFigures = 4, kMostSeries = 6, kMostBars = 24, kMostHeatMaps = 12;
constexpr const char* kExperiments[] = {"perplexity", "translation", "generation", "pretrain"};

std::string group_name(const std::vector<RunSummary>& runs, const RunGroup& group) {
  return group.label.empty() ? runs[group.runs.front()].model() : group.label;
}

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

std::vector<std::size_t> runs_of(const std::vector<RunGroup>& groups) {
  std::vector<std::size_t> all;
  for (const RunGroup& group : groups) all.insert(all.end(), group.runs.begin(), group.runs.end());
  return all;
}

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

/// FLOPs a token of the plain model in a run's own window, with keys kept as the run keeps them; none in older runs.
std::optional<double> plain_flops(const RunSummary& run) {
  const std::string window = window_tokens(run);
  const Json::json_pointer at("/cost/references");
  if (window.empty() || !run.summary.is_object() || !run.summary.contains(at) || !run.summary.at(at).is_array())
    return std::nullopt;
  const bool kept = run.setting("cache.policy") != "rebuild";
  for (const Json& plain : run.summary.at(at))
    if (number_at(plain, "/window") == std::stod(window) && plain.value("cached", false) == kept)
      return number_at(plain, "/flops_per_token");
  return std::nullopt;
}

/// Where settings stand by their cost and their quality: with Temp-LoRA, and the plain model in the same window.
class CostPoints {
 public:
  CostPoints(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups) : runs_(runs) {
    flops_ = std::all_of(groups.begin(), groups.end(),
                         [&](const RunGroup& group) { return mean(group, "flops").value.has_value(); });
    const auto differ = [&](bool learns) {
      std::vector<std::size_t> among;
      for (const RunGroup& group : groups)
        if (!learns || mean(group, "lora").value) among.insert(among.end(), group.runs.begin(), group.runs.end());
      return differing_keys(runs, among);
    };
    learning_keys_ = differ(true);
    const std::vector<std::string> all = differ(false);
    chunks_differ_ = std::find(all.begin(), all.end(), "window.chunk_tokens") != all.end();
    for (const RunGroup& group : groups) add(group);
  }

  bool flops() const { return flops_; }
  /// By text: perplexities of different ones do not compare.
  const std::map<std::string, std::vector<CostPoint>>& by_text() const { return by_text_; }

 private:
  Cell mean(const RunGroup& group, const std::string& name) const {
    return mean_cell(runs_, group.runs, [&](const RunSummary& r) {
      const auto found = r.measures.find(name);
      return found == r.measures.end() ? std::nullopt : std::optional(found->second);
    });
  }

  void add(const RunGroup& group) {
    const auto cost = mean(group, flops_ ? "flops" : "seconds").value;
    const Cell lora = mean(group, "lora"), base = mean(group, "base");
    const RunSummary& run = runs_[group.runs.front()];
    const double unit = flops_ ? 1e-9 : 1000;
    if (lora.value && cost && *cost > 0) put(run, {learning_name(run), *cost * unit, *lora.value, lora.seed_sd});
    if (!base.value) return;
    // A run without an adapter is a plain model by its own cost; beside an adapter the base has scored for comparison.
    const auto own = lora.value ? flops_ ? plain_flops(run) : std::nullopt : cost;
    if (own && *own > 0) put(run, {plain_name(run), *own * unit, *base.value, {}, true});
  }

  /// What differs among those that learn: "Δ 64, rank 8".
  std::string learning_name(const RunSummary& run) const {
    std::string name;
    for (const std::string& key : learning_keys_)
      name += fmt::format("{}{}", name.empty() ? "" : ", ",
                          key == "model.path" ? run.model()
                                              : fmt::format("{} {}", short_name(key), run.setting(key)));
    return name.empty() ? "Temp-LoRA" : name;
  }

  /// What a model that learns nothing sees.
  std::string plain_name(const RunSummary& run) const {
    const std::string window = window_tokens(run), policy = run.setting("cache.policy");
    const std::string first = run.setting("cache.sink_tokens");
    return fmt::format("plain{}{}{}{}{}", policy == "rebuild" ? "" : ", " + policy,
                       policy == "rebuild" || first.empty() || first == "0" ? "" : " with the first " + first,
                       chunks_differ_ ? ", Δ " + run.setting("window.chunk_tokens") : "",
                       window.empty() ? "" : ", W ", window);
  }

  /// Settings of one window and chunk share their plain model.
  void put(const RunSummary& run, CostPoint point) {
    auto& points = by_text_[run.setting("texts") + " " + run.setting("data.max_tokens")];
    const auto same = [&](const CostPoint& other) {
      return point.plain && other.plain && other.cost == point.cost && other.quality == point.quality;
    };
    if (std::none_of(points.begin(), points.end(), same)) points.push_back(std::move(point));
  }

  const std::vector<RunSummary>& runs_;
  std::map<std::string, std::vector<CostPoint>> by_text_;
  std::vector<std::string> learning_keys_;
  bool flops_ = false, chunks_differ_ = false;
};

void add_cost(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups, const std::string& experiment,
              std::vector<Figure>& figures) {
  const CostPoints costs(runs, groups);
  std::size_t number = 0;
  for (const auto& [text, points] : costs.by_text()) {
    if (points.size() < 2) continue;
    const std::string title =
        fmt::format("Cost against quality{}", experiment == "perplexity" ? "" : ": " + experiment);
    const bool plain = std::any_of(points.begin(), points.end(), [](const CostPoint& p) { return p.plain; });
    figures.push_back({fmt::format("cost_{}_{}", experiment, ++number), title, "",
                       cost_figure(points, title,
                                   costs.flops() ? "GFLOP a token" : "seconds for 1,000 tokens, as measured",
                                   plain ? "perplexity" : "Temp-LoRA PPL",
                                   {common_settings(runs, runs_of(groups)),
                                    "Each point is one setting on the same texts; on the dashed line no other is both "
                                    "cheaper and better. A name that has no room is its point's tooltip."})});
  }
}

/// What a phase of chunks.jsonl is called where people read.
std::string phase_words(const std::string& phase) {
  static const std::map<std::string, std::string> kWords{
      {"score_base", "scoring, base model"},
      {"recompute_base", "context anew, base model"},
      {"score", "scoring, Temp-LoRA"},
      {"recompute", "context anew, Temp-LoRA"},
      {"train_forward", "learning, forward"},
      {"train_backward", "learning, backward"},
      {"gradient", "learning, both ways"},
      {"optimizer", "optimizer step"},
      {"score_controls", "scoring, controls"},
      {"train_controls", "learning, controls"},
      {"staleness", "measuring stale keys"},
      {"read", "reading texts"},
      {"prompts", "making prompts"},
      {"prefill", "reading the context"},
      {"decode", "writing"},
      {"write_and_train", "writing and learning at once"},
      {"base_prefill", "reading prompts, base model"},
      {"base_score", "scoring, base model"},
      {"base_decode", "translating, base model"},
      {"lora_prefill", "reading prompts, Temp-LoRA"},
      {"lora_score", "scoring, Temp-LoRA"},
      {"lora_decode", "translating, Temp-LoRA"},
      {"step", "optimizer step, all of it"}};
  const auto found = kWords.find(phase);
  return found == kWords.end() ? phase : found->second;
}

/// Phases as a chunk goes through them; those of no known place come last.
std::vector<std::string> in_order(const std::map<std::string, double>& seconds) {
  std::vector<std::string> names;
  for (const char* phase : kCostPhases)
    if (seconds.contains(phase)) names.push_back(phase);
  for (const auto& [phase, spent] : seconds)
    if (std::find(names.begin(), names.end(), phase) == names.end()) names.push_back(phase);
  return names;
}

void add_phases(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups, const std::string& experiment,
                std::vector<Figure>& figures) {
  std::vector<StackedBar> bars;
  // What one of them computed for the others is no cost of its setting.
  const bool taken_over = base_is_shared(runs, runs_of(groups));
  for (const RunGroup& group : groups) {
    if (bars.size() == kMostBars) break;
    const RunSummary& run = runs[group.runs.front()];
    if (run.tokens == 0 || run.seconds.empty()) continue;
    StackedBar bar{group_name(runs, group), {}};
    for (const std::string& phase : in_order(run.seconds))
      if (!taken_over || phase != kBasePhase)
        bar.parts.emplace_back(phase_words(phase), 1000 * run.seconds.at(phase) / static_cast<double>(run.tokens));
    bars.push_back(std::move(bar));
  }
  if (bars.empty()) return;
  const std::string title = fmt::format("Time by phase{}", experiment == "perplexity" ? "" : ": " + experiment);
  std::string marks =
      "Wall seconds as measured, on a machine that may have had other work. The first seed of each setting.";
  if (taken_over) marks += " Without scoring the base model, which one run did for others.";
  figures.push_back(
      {"phases_" + experiment, title, "",
       bar_figure(bars, title, "seconds for 1,000 tokens", {common_settings(runs, runs_of(groups)), marks})});
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
  for (const char* experiment : kExperiments) {
    const std::vector<RunGroup> of = group_runs(runs, experiment);
    add_cost(runs, of, experiment, figures);
    add_phases(runs, of, experiment, figures);
  }
  return figures;
}

}  // namespace templora
