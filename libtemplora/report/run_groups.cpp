#include "report/run_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <set>

#include "run/point_key.h"

namespace templora {
namespace {

const std::pair<const char*, const char*> kShortNames[] = {{"window.chunk_tokens", "Δ"},
                                                           {"window.context_tokens", "L_X"},
                                                           {"train.prefix_tokens", "L_T"},
                                                           {"train.learning_rate", "learning rate"},
                                                           {"train.epochs", "epochs"},
                                                           {"lora.rank", "rank"},
                                                           {"cache.policy", "cache"},
                                                           {"cache.window_tokens", "W"},
                                                           {"model.path", "model"}};

/// Keys that come first in labels and decide which of several equal ones is kept.
const char* const kLeading[] = {"model.path",          "window.chunk_tokens", "window.context_tokens", "cache.policy",
                                "train.prefix_tokens", "lora.rank",           "train.learning_rate",   "train.epochs"};

bool is_data(const std::string& key) {
  static const std::set<std::string> kInputs{"model config", "weights", "adapter", "tokenizer", "prompt"};
  return key.starts_with("data.") || key.ends_with("texts") || kInputs.contains(key);
}

std::optional<double> as_number(const std::string& text) {
  char* end = nullptr;
  const double value = std::strtod(text.c_str(), &end);
  return !text.empty() && *end == '\0' ? std::optional(value) : std::nullopt;
}

/// The point of a sweep that a run is; "" where it is none, or several.
std::string point_of(const RunSummary& run) {
  std::set<std::string> names;
  for (const auto& values : run.combinations) {
    const auto found = values.find(kPointKey);
    const bool named = found != values.end() && found->second.starts_with('"');
    names.insert(named ? Json::parse(found->second).get<std::string>() : "");
  }
  return names.size() == 1 ? *names.begin() : "";
}

std::string value_of(const RunSummary& run, const std::string& key) {
  return key == "model.path" ? run.model() : key == kPointKey ? point_of(run) : run.setting(key);
}

using RunsBySettings = std::map<std::map<std::string, std::string>, std::vector<std::size_t>>;

RunsBySettings by_settings(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among) {
  RunsBySettings groups;
  for (const std::size_t i : among) {
    auto settings = runs[i].settings;
    settings.erase("seed");
    std::erase_if(settings, [&](const auto& item) { return runs[i].read.contains(item.first); });
    groups[settings].push_back(i);
  }
  return groups;
}

std::string label_of(const RunSummary& run, const std::vector<std::string>& keys) {
  std::string label;
  for (const std::string& key : keys) {
    label += label.empty() ? "" : ", ";
    label += key == "model.path" ? run.model() : setting_text(run, key);
  }
  return label;
}

/// The numbers that a seed settles: all but what depends on the machine's speed.
std::map<std::string, std::string> results_of(const RunSummary& run) {
  std::map<std::string, std::string> results;
  for (const auto& [name, value] : run.measures)
    if (name != "seconds" && name != "flops") results[name] = fmt::format("{}", value);
  if (run.experiment() == "perplexity" || !run.summary.is_object()) return results;
  for (const char* part : {"all", "validation"})
    if (const auto found = run.summary.find(part); found != run.summary.end()) results[part] = found->dump();
  return results;
}

std::string repeat_remark(const RunSummary& run, const RunSummary& counted) {
  const std::string both = fmt::format("{} has the settings and the seed of {}", run.name, counted.name);
  if (!run.finished) return both + " and is not finished; it is not counted.";
  const auto again = results_of(run), first = results_of(counted);
  if (again == first) return both + " and the same numbers; they count once.";
  std::string differ;
  for (const auto& [name, value] : first) {
    const auto found = again.find(name);
    if (found == again.end() || found->second == value) continue;
    const bool few = value.size() < 30 && found->second.size() < 30;
    differ += fmt::format("{}{}{}", differ.empty() ? "" : ", ", name,
                          few ? fmt::format(" {} and {}", value, found->second) : "");
  }
  return fmt::format("{}, but other numbers{}, as another machine, thread count or version gives; only {} is counted.",
                     both, differ.empty() ? "" : " (" + differ + ")", counted.name);
}

}  // namespace

std::string group_name(const std::vector<RunSummary>& runs, const RunGroup& group) {
  return group.label.empty() ? runs[group.runs.front()].model() : group.label;
}

std::vector<std::size_t> runs_of(const std::vector<RunGroup>& groups) {
  std::vector<std::size_t> all;
  for (const RunGroup& group : groups) all.insert(all.end(), group.runs.begin(), group.runs.end());
  return all;
}

std::vector<std::size_t> one_a_seed(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among) {
  std::map<std::string, std::size_t> of_seed;
  for (const std::size_t i : among) {
    const auto [there, is_new] = of_seed.emplace(runs[i].setting("seed"), i);
    if (!is_new && runs[i].finished && !runs[there->second].finished) there->second = i;
  }
  std::vector<std::size_t> counted;
  for (const std::size_t i : among)
    if (of_seed.at(runs[i].setting("seed")) == i) counted.push_back(i);
  return counted;
}

std::vector<std::string> repeat_remarks(const std::vector<RunSummary>& runs) {
  std::set<std::string> experiments;
  for (const RunSummary& run : runs) experiments.insert(run.experiment());
  std::vector<std::string> remarks;
  for (const std::string& experiment : experiments)
    for (const RunGroup& group : group_runs(runs, experiment))
      for (const auto& [repeat, counted] : group.repeats)
        remarks.push_back(repeat_remark(runs[repeat], runs[counted]));
  return remarks;
}

std::string short_name(const std::string& key) {
  for (const auto& [name, shorter] : kShortNames)
    if (key == name) return shorter;
  return key;
}

bool setting_less(const std::string& a, const std::string& b) {
  const auto x = as_number(a), y = as_number(b);
  if (x && y) return *x < *y;
  if (x.has_value() != y.has_value()) return x.has_value();
  return a < b;
}

std::vector<std::string> differing_keys(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among) {
  std::set<std::string> names;
  for (const std::size_t i : among)
    for (const auto& [key, value] : runs[i].settings) names.insert(key);
  names.erase("seed");
  // Where nothing is kept between chunks this only says what Δ and L_X say.
  if (std::all_of(among.begin(), among.end(),
                  [&](std::size_t i) { return runs[i].setting("cache.policy") == "rebuild"; }))
    names.erase("cache.window_tokens");
  std::vector<std::string> ordered(std::begin(kLeading), std::end(kLeading));
  const auto says_nothing = [&](const std::string& name) {
    return std::all_of(among.begin(), among.end(), [&](std::size_t i) { return runs[i].read.contains(name); });
  };
  for (const bool of_data : {false, true})  // which text it was stands last
    for (const std::string& name : names)
      if (is_data(name) == of_data && std::find(ordered.begin(), ordered.end(), name) == ordered.end() &&
          !says_nothing(name))
        ordered.push_back(name);

  std::vector<std::string> kept;
  std::set<std::vector<std::size_t>> seen;  // which runs share a value, by the first run that has it
  for (const std::string& key : ordered) {
    std::map<std::string, std::size_t> first;
    std::vector<std::size_t> pattern;
    for (const std::size_t i : among) pattern.push_back(first.emplace(value_of(runs[i], key), i).first->second);
    if (first.size() > 1 && seen.insert(pattern).second) kept.push_back(key);
  }
  return kept;
}

std::vector<std::string> naming_keys(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among) {
  std::vector<std::string> keys = differing_keys(runs, among);
  const RunsBySettings groups = by_settings(runs, among);
  const auto has_one = [&](const auto& group) {
    const std::string first = point_of(runs[group.second.front()]);
    return !first.empty() && std::all_of(group.second.begin(), group.second.end(),
                                         [&](std::size_t i) { return point_of(runs[i]) == first; });
  };
  if (groups.size() < 2 || !std::all_of(groups.begin(), groups.end(), has_one)) return keys;
  std::erase_if(keys, [&](const std::string& key) {
    std::map<std::string, std::string> at;  // point -> value
    return std::all_of(among.begin(), among.end(), [&](std::size_t i) {
      const std::string value = value_of(runs[i], key);
      return at.emplace(point_of(runs[i]), value).first->second == value;
    });
  });
  keys.insert(keys.begin(), kPointKey);
  return keys;
}

std::string setting_text(const RunSummary& run, const std::string& key) {
  const std::string value = value_of(run, key);
  return key == kPointKey ? value : fmt::format("{} {}", short_name(key), value.empty() ? "null" : value);
}

std::string common_settings(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among,
                            const std::string& more) {
  if (among.empty()) return "";
  const RunSummary& first = runs[among.front()];
  std::string out;
  const auto add = [&](const std::string& part) { out += (out.empty() ? "" : ", ") + part; };
  for (const char* const key : kLeading) {
    const std::string value = value_of(first, key), name = short_name(key);
    const bool same = std::all_of(among.begin(), among.end(),
                                  [&](std::size_t i) { return value_of(runs[i], key) == value; });
    const bool of_model = std::string_view(key) == "model.path";
    if (of_model && same) add(value);
    if (of_model && !more.empty()) add(more);
    if (of_model || !same || value.empty() || value == "rebuild") continue;
    const std::string part = fmt::format("{} {}", name, value);
    if (more != part && !more.starts_with(part + ",") && !more.ends_with(", " + part) &&
        more.find(", " + part + ",") == std::string::npos)
      add(part);
  }
  return out;
}

bool base_is_shared(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among) {
  return std::any_of(among.begin(), among.end(), [&](std::size_t i) { return runs[i].base_taken_over; });
}

std::vector<RunGroup> group_runs(const std::vector<RunSummary>& runs, const std::string& experiment) {
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < runs.size(); ++i)
    if (runs[i].experiment() == experiment && !(runs[i].measures.empty() && runs[i].summary.is_null()))
      all.push_back(i);
  std::vector<RunGroup> groups;
  const std::vector<std::string> keys = naming_keys(runs, all);
  std::map<std::string, std::size_t> places;  // of points, as the sweep has them
  for (const std::size_t i : all) places.emplace(point_of(runs[i]), i);
  for (const auto& [settings, members] : by_settings(runs, all)) {
    RunGroup group{one_a_seed(runs, members), {}, label_of(runs[members.front()], keys)};
    for (const std::size_t i : members)
      for (const std::size_t counted : group.runs)
        if (i != counted && runs[i].setting("seed") == runs[counted].setting("seed"))
          group.repeats.emplace_back(i, counted);
    groups.push_back(std::move(group));
  }
  std::stable_sort(groups.begin(), groups.end(), [&](const RunGroup& a, const RunGroup& b) {
    for (const std::string& key : keys) {
      const std::string x = value_of(runs[a.runs.front()], key), y = value_of(runs[b.runs.front()], key);
      if (x != y) return key == kPointKey ? places.at(x) < places.at(y) : setting_less(x, y);
    }
    return a.runs.front() < b.runs.front();
  });
  return groups;
}

std::string window_tokens(const RunSummary& run) {
  if (const std::string given = run.setting("cache.window_tokens");
      !given.empty() && run.setting("cache.policy") != "rebuild")
    return given;
  const auto chunk = as_number(run.setting("window.chunk_tokens")),
             context = as_number(run.setting("window.context_tokens"));
  return chunk && context ? fmt::format("{:.0f}", *chunk + *context) : "";
}

Cell mean_cell(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among, const NumberOf& number) {
  Cell cell;
  cell.runs = among;
  std::vector<double> values;
  for (const std::size_t i : among) {
    const std::optional<double> value = number(runs[i]);
    if (!value) return cell;
    values.push_back(*value);
  }
  if (among.empty()) return cell;
  cell.value = finite(std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size()));
  if (!cell.value) return cell;
  if (const auto deviation = standard_deviation(values); deviation && *deviation > 0) cell.seed_sd = deviation;
  cell.seeds = static_cast<std::int64_t>(values.size());
  return cell;
}

BookDifferences mean_differences(const std::vector<BookDifferences>& of_runs) {
  std::map<std::size_t, std::vector<double>> of_books;
  for (const BookDifferences& run : of_runs)
    for (const auto& [book, value] : run) of_books[book].push_back(value);
  BookDifferences means;
  for (const auto& [book, values] : of_books)
    if (values.size() == of_runs.size())
      means[book] = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  return means;
}

Cell book_cell(const std::vector<RunSummary>& runs, const std::vector<std::size_t>& among, std::size_t row, Arm arm,
               bool since_first) {
  Cell cell;
  cell.runs = among;
  std::vector<BookDifferences> of_runs;
  std::vector<double> of_seeds;
  for (const std::size_t i : among) {
    const std::vector<SegmentRow>& rows = runs[i].table->all;
    const auto of_row = [&](std::size_t r) {
      const auto found = rows[r].book_differences.find(arm);
      return found == rows[r].book_differences.end() ? BookDifferences() : found->second;
    };
    const bool is_first = row == 0 || row + 1 == rows.size();
    if (since_first && is_first) return cell;
    of_runs.push_back(since_first ? less(of_row(row), of_row(0)) : of_row(row));
    const auto mean = mean_change(of_runs.back());
    if (!mean) return cell;
    of_seeds.push_back(mean->mean);
  }
  const auto mean = mean_change(mean_differences(of_runs));
  if (!mean) return cell;
  cell.value = mean->mean;
  cell.low = mean->low;
  cell.high = mean->high;
  cell.method = mean->method;
  cell.seed_sd = standard_deviation(of_seeds);
  cell.seeds = static_cast<std::int64_t>(among.size());
  return cell;
}

}  // namespace templora
