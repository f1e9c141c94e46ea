#include "report/sweep_slices.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/nearest.h"
#include "report/run_groups.h"
#include "run/point_key.h"

namespace templora {
namespace {

constexpr std::size_t kMostLooseSlices = 6;  // of runs that no sweep made: beyond this they are no grid

using Values = std::map<std::string, std::string>;

/// A run at one of its places in the grid: combinations that come to the same share one run.
struct Place {
  std::size_t run;
  const Values* values;  // of the swept keys there
};

std::string axis_value(const RunSummary& run, const Values& values, const std::string& key) {
  if (key == "W") return window_tokens(run);
  if (key == "model.path") return run.model();
  const auto swept = values.find(key);
  if (swept == values.end()) return run.setting(key);
  const std::string& text = swept->second;
  return text.size() >= 2 && text.front() == '"' ? Json::parse(text).get<std::string>() : text;
}

/// Values of the measure of one run as sweep tables show it.
std::optional<double> measured(const RunSummary& run, const std::string& measure) {
  const auto found = run.measures.find(measure);
  if (found == run.measures.end()) return std::nullopt;
  return measure == "seconds" ? found->second * 1000 : measure == "flops" ? found->second * 1e-9 : found->second;
}

class Slicer {
 public:
  Slicer(const std::vector<RunSummary>& runs, std::vector<std::size_t> among, const ReportOptions& options)
      : runs_(runs), among_(std::move(among)), options_(options) {
    static const Values kNone{};
    for (const std::size_t i : among_) {
      if (runs_[i].combinations.empty()) places_.push_back({i, &kNone});
      for (const Values& values : runs_[i].combinations) places_.push_back({i, &values});
    }
    find_axes();
  }

  std::vector<SweepSlice> slices() {
    if (axes_.empty()) return {};
    choose_axes();
    std::set<std::string> shown{rows_};
    if (!columns_.empty()) shown.insert(columns_);
    std::vector<std::string> others;
    for (const std::string& key : axes_)
      if (!shown.contains(key) && !follows(key, shown)) others.push_back(key);
    std::map<std::vector<std::string>, std::vector<Place>> by_others;
    for (const Place& place : places_) {
      std::vector<std::string> at;
      for (const std::string& key : others) at.push_back(value_at(place, key));
      by_others[at].push_back(place);
    }
    if (!swept_ && options_.rows.empty() && options_.columns.empty() && by_others.size() > kMostLooseSlices) return {};
    std::vector<SweepSlice> slices;
    for (const auto& [at, members] : by_others) {
      Keys fixed;
      for (std::size_t k = 0; k < others.size(); ++k) fixed.emplace_back(others[k], at[k]);
      slices.push_back(slice(members, std::move(fixed)));
    }
    return slices;
  }

 private:
  std::string value_at(const Place& place, const std::string& key) const {
    return axis_value(runs_[place.run], *place.values, key);
  }

  std::vector<std::string> values_of(const std::string& key, const std::vector<Place>& among) const {
    std::vector<std::string> values;  // as the sweep has them
    for (const Place& place : among)
      if (const std::string value = value_at(place, key);
          std::find(values.begin(), values.end(), value) == values.end())
        values.push_back(value);
    if (key != kPointKey) std::sort(values.begin(), values.end(), setting_less);
    return values;
  }

  std::size_t count(const std::string& key) const { return values_of(key, places_).size(); }

  void find_axes() {
    std::set<std::string> keys;
    for (const Place& place : places_)
      for (const auto& [key, value] : *place.values) keys.insert(key);
    swept_ = !keys.empty();
    if (!swept_)
      for (const std::string& key : differing_keys(runs_, among_)) keys.insert(key);
    keys.erase("seed");
    for (const std::string& key : keys)
      if (count(key) > 1) axes_.push_back(key);
    // Runs of two sweeps may differ in what neither of them swept.
    if (swept_)
      for (const std::string& key : differing_keys(runs_, among_))
        if (!keys.contains(key) && !follows(key, keys)) axes_.push_back(key);
    const auto context = std::find(axes_.begin(), axes_.end(), "window.context_tokens");
    const bool chunks = std::find(axes_.begin(), axes_.end(), "window.chunk_tokens") != axes_.end();
    if (context != axes_.end() && chunks && count("W") > 1 && count("W") <= count("window.context_tokens"))
      *context = "W";
  }

  /// Whether a key's value is settled by those of others: a table over all of them would be a diagonal.
  bool follows(const std::string& key, const std::set<std::string>& others) const {
    std::map<std::vector<std::string>, std::string> seen;
    for (const Place& place : places_) {
      std::vector<std::string> at;
      for (const std::string& other : others) at.push_back(value_at(place, other));
      const std::string value = value_at(place, key);
      if (seen.emplace(at, value).first->second != value) return false;
    }
    return true;
  }

  void check_axis(const std::string& option, const std::string& key) const {
    std::vector<std::string> known = axes_;
    if (!window_tokens(runs_[among_.front()]).empty()) known.push_back("W");
    for (const auto& [name, value] : runs_[among_.front()].settings) known.push_back(name);
    if (std::find(known.begin(), known.end(), key) != known.end()) return;
    std::string axes;
    for (const std::string& axis : axes_) axes += (axes.empty() ? "" : ", ") + axis;
    throw Error(Exit::usage,
                fmt::format("{}: got \"{}\", which these runs do not have; the nearest is {}; axes are {}", option,
                            printable(key), nearest_name(key, known), axes.empty() ? "none" : axes));
  }

  std::string widest(const std::string& except) const {
    std::string best;
    for (const std::string& key : axes_) {
      if (key == except) continue;
      if (!except.empty() && follows(key, {except})) continue;
      if (best.empty() || count(key) > count(best)) best = key;
    }
    return best;
  }

  void choose_axes() {
    for (const auto& [option, key] : {std::pair{"--rows", options_.rows}, {"--columns", options_.columns}})
      if (!key.empty()) check_axis(option, key);
    if (!options_.rows.empty() && options_.rows == options_.columns)
      throw Error(Exit::usage, fmt::format("--columns: got \"{}\", wanted another key than --rows", options_.columns));
    columns_ = options_.columns;
    rows_ = options_.rows.empty() ? widest(columns_) : options_.rows;
    if (columns_.empty()) columns_ = widest(rows_);
    if (rows_.empty()) std::swap(rows_, columns_);
    // Where neither was asked for, Δ stands in the rows, as in the paper.
    if (options_.rows.empty() && options_.columns.empty() && columns_ == "window.chunk_tokens")
      std::swap(rows_, columns_);
  }

  std::string value_name(const std::vector<Place>& members) const {
    std::set<std::string> have;
    for (const Place& place : members)
      for (const auto& [name, value] : runs_[place.run].measures) have.insert(name);
    if (!options_.value.empty()) return options_.value;
    for (const char* name : {"change", "lora", "base", "seconds"})
      if (have.contains(name)) return name;
    return "change";
  }

  SweepSlice slice(const std::vector<Place>& members, Keys fixed) const {
    SweepSlice out;
    out.experiment = runs_[members.front().run].experiment();
    out.fixed = std::move(fixed);
    out.row_key = rows_;
    out.column_key = columns_;
    out.value = value_name(members);
    out.rows = values_of(rows_, members);
    out.columns = columns_.empty() ? std::vector<std::string>{""} : values_of(columns_, members);
    for (const std::string& row : out.rows) {
      auto& cells = out.cells.emplace_back();
      for (const std::string& column : out.columns) {
        std::vector<std::size_t> here;  // each run once, however many of its combinations come to this cell
        for (const Place& place : members) {
          const bool fits = value_at(place, rows_) == row && (columns_.empty() || value_at(place, columns_) == column);
          if (fits && (here.empty() || here.back() != place.run)) here.push_back(place.run);
        }
        cells.push_back(cell(one_a_seed(runs_, here), out.value));
      }
    }
    return out;
  }

  Cell cell(const std::vector<std::size_t>& here, const std::string& measure) const {
    Cell out = mean_cell(runs_, here, [&](const RunSummary& run) { return measured(run, measure); });
    for (const std::size_t i : here) {
      out.tokens = std::max(out.tokens, runs_[i].tokens);
      if (runs_[i].table) out.books = std::max(out.books, runs_[i].table->all.back().books);
    }
    return out;
  }

  const std::vector<RunSummary>& runs_;
  std::vector<std::size_t> among_;
  std::vector<Place> places_;  // of these runs, a run's places side by side
  const ReportOptions& options_;
  std::vector<std::string> axes_;
  std::string rows_, columns_;
  bool swept_ = false;
};

}  // namespace

namespace {

/// Refuses a measure that none of the runs has; a slice of others shows dashes.
void check_value(const std::vector<RunSummary>& runs, const std::string& value) {
  std::set<std::string> have;
  for (const RunSummary& run : runs)
    for (const auto& [name, number] : run.measures) have.insert(name);
  if (value.empty() || have.contains(value)) return;
  if (have.empty())
    throw Error(Exit::usage, fmt::format("--value: got \"{}\", but no finished run has any", printable(value)));
  throw Error(Exit::usage, fmt::format("--value: got \"{}\", which these runs do not have; the nearest is {}",
                                       printable(value), nearest_name(value, {have.begin(), have.end()})));
}

}  // namespace

const char* measure_format(const std::string& measure) {
  if (measure == "change") return "{:+.2f}";
  return measure == "seconds" || measure == "flops" ? "{:.3g}" : "{:.3f}";
}

std::string measure_title(const std::string& measure) {
  for (const auto& [name, title] : {std::pair{"change", "change of PPL [%]"},
                                    {"base", "base PPL"},
                                    {"lora", "Temp-LoRA PPL"},
                                    {"seconds", "seconds for 1,000 tokens"},
                                    {"flops", "GFLOP a token"}})
    if (measure == name) return title;
  return measure;
}

std::vector<SweepSlice> sweep_slices(const std::vector<RunSummary>& runs, const ReportOptions& options) {
  check_value(runs, options.value);
  std::map<std::string, std::vector<std::size_t>> by_experiment;
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (!runs[i].measures.empty()) by_experiment[runs[i].experiment()].push_back(i);
  std::vector<SweepSlice> slices;
  for (auto& [experiment, among] : by_experiment)
    for (SweepSlice& slice : Slicer(runs, among, options).slices()) slices.push_back(std::move(slice));
  return slices;
}

ReportTable sweep_table(const SweepSlice& slice, const std::vector<RunSummary>& runs, std::size_t number) {
  const bool single = slice.column_key.empty();
  std::string held;
  for (const auto& [key, value] : slice.fixed) held += fmt::format(", {} {}", short_name(key), value);
  ReportTable table{fmt::format("sweep_{}", number),
                    "",
                    "",
                    slice.fixed,
                    {Column::setting(short_name(slice.row_key), slice.row_key)},
                    {}};
  table.title = single ? fmt::format("Sweep of {}{}", short_name(slice.row_key), held)
                       : fmt::format("Sweep: {} by {} and {}{}", measure_title(slice.value), short_name(slice.row_key),
                                     short_name(slice.column_key), held);
  table.note = "One cell a setting of both axes; seeds are their mean. – was not run, is not finished, "
               "or (of seconds) took over the base model's scores from another run.";
  std::vector<std::string> measures{slice.value};
  if (single) {
    measures.clear();
    for (const char* measure : {"base", "lora", "change", "seconds", "flops"})
      if (std::any_of(slice.cells.begin(), slice.cells.end(), [&](const auto& row) {
            return std::any_of(row.front().runs.begin(), row.front().runs.end(),
                               [&](std::size_t i) { return runs[i].measures.contains(measure); });
          }))
        measures.push_back(measure);
    for (const std::string& measure : measures)
      table.columns.push_back(Column::of(measure_title(measure), measure, measure_format(measure)));
  } else {
    for (const std::string& column : slice.columns) {
      table.columns.push_back(Column::of(fmt::format("{} {}", short_name(slice.column_key), column), slice.value,
                                         measure_format(slice.value)));
      table.columns.back().keys = {{slice.column_key, column}};
    }
  }
  for (std::size_t r = 0; r < slice.rows.size(); ++r) {
    std::vector<Cell> row{Cell::of(slice.rows[r])};
    if (!single) row.insert(row.end(), slice.cells[r].begin(), slice.cells[r].end());
    for (const std::string& measure : single ? measures : std::vector<std::string>()) {
      const Cell& here = slice.cells[r].front();
      row.push_back(mean_cell(runs, here.runs, [&](const RunSummary& run) { return measured(run, measure); }));
      row.back().books = here.books;
      row.back().tokens = here.tokens;
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace templora
