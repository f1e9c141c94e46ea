#include "browse/run_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cmath>
#include <ctime>
#include <map>
#include <set>

#include "config/config_inputs.h"
#include "core/error.h"
#include "report/markdown.h"
#include "report/recorded_run.h"
#include "report/run_groups.h"
#include "sweep/definition.h"

namespace templora {
namespace {

constexpr std::array kOwnKeys{"date", "name", "model", "state", "base", "ppl", "change", "tokens", "folder"};

std::string text_at(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : "";
}

bool all_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isdigit(c); });
}

/// "20261129-190637-…" → "2026-11-29 19:06"; "" where the name begins with no such time.
std::string date_in_name(const std::string& name) {
  if (name.size() < 15 || name[8] != '-' || !all_digits(name.substr(0, 8)) || !all_digits(name.substr(9, 6))) return "";
  return fmt::format("{}-{}-{} {}:{}", name.substr(0, 4), name.substr(4, 2), name.substr(6, 2), name.substr(9, 2),
                     name.substr(11, 2));
}

std::string date_of(const RunSummary& run) {
  const std::string started = text_at(run.record, "started");  // 2026-11-29T19:06:37+0000
  if (started.size() >= 16) return started.substr(0, 10) + " " + started.substr(11, 5);
  if (const std::string date = date_in_name(normal_path(run.folder).filename().string()); !date.empty()) return date;
  std::error_code problem;
  const auto written = fs::last_write_time(run.folder / "run.json", problem);
  if (problem) return "";
  const std::time_t time = std::chrono::system_clock::to_time_t(std::chrono::file_clock::to_sys(written));
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", std::localtime(&time));
  return text;
}

/// Calls the cells of each sweep, whose folders have hashes for names, by what was swept and differs among them:
/// "delta_window: Δ 256, L_X 64". Those that have a name keep it.
void name_cells(const std::vector<const RunSource*>& sources, std::vector<ListedRun>& runs) {
  std::map<std::string, std::vector<std::size_t>> sweeps;
  std::vector<RunSummary> summaries;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (!sources[i]->sweep.empty()) sweeps[sources[i]->sweep].push_back(i);
    summaries.push_back(runs[i].run);
  }
  for (const auto& [sweep, cells] : sweeps) {
    std::vector<std::string> keys = naming_keys(summaries, cells);
    if (cells.size() > 1)
      keys.push_back("seed");
    else
      for (const auto& [key, value] : sources[cells.front()]->values) keys.push_back(key);
    for (const std::size_t i : cells) {
      if (!text_at(runs[i].run.record, "name").empty()) continue;
      std::string words;
      for (const std::string& key : keys)
        if (sources[i]->values.contains(key))
          words += (words.empty() ? "" : ", ") + setting_text(runs[i].run, key);
      runs[i].name = sweep + (words.empty() ? "" : ": " + words);
    }
  }
}

ListedRun listed(const RunSource& source) {
  ListedRun run;
  run.run = read_run_record(source);
  run.progress = run_progress(source.folder, run.run.record);
  run.date = date_of(run.run);
  run.name = text_at(run.run.record, "name");
  if (run.name.empty()) run.name = normal_path(source.folder).filename().string();
  if (const auto tags = run.run.record.find("tags"); tags != run.run.record.end() && tags->is_array())
    for (const Json& tag : *tags)
      if (tag.is_string()) run.tags.push_back(tag.get<std::string>());
  run.state = run_state_name(run.progress.state);
  return run;
}

/// Its one perplexity: Temp-LoRA's, or a pretraining's on held-out texts.
std::optional<double> perplexity(const ListedRun& run) {
  return run.progress.lora ? run.progress.lora : run.progress.validation;
}

const Json& defaults() {
  static const Json config = config_defaults();
  return config;
}

std::string state_text(const ListedRun& run) {
  const auto share = run.progress.share();
  if (run.progress.state == RunState::finished || !share) return run.state;
  return fmt::format("{} {:.0f} %", run.state, std::floor(100 * *share));
}

}  // namespace

std::vector<ListedRun> list_runs(const std::vector<RunSource>& sources, std::vector<std::string>& remarks) {
  std::vector<ListedRun> runs;
  std::vector<const RunSource*> read;
  for (const RunSource& source : sources) {
    try {
      runs.push_back(listed(source));
      read.push_back(&source);
    } catch (const Error& error) {
      remarks.push_back(error.what());
    }
  }
  name_cells(read, runs);
  return runs;
}

Json value_of(const ListedRun& run, const std::string& key) {
  if (key == "date") return run.date;
  if (key == "name") return run.name;
  if (key == "model") return run.run.model();
  if (key == "state") return run.state;
  if (key == "folder") return run.run.folder.string();
  if (key == "base") return optional_json(run.progress.base);
  if (key == "ppl") return optional_json(perplexity(run));
  if (key == "change") return optional_json(run.progress.change_percent());
  if (key == "tokens") return run.progress.tokens;
  return value_of_key(run.run.record.at("config"), defaults(), key);
}

void require_list_key(const std::string& key, const std::string& where) {
  if (std::find(kOwnKeys.begin(), kOwnKeys.end(), key) != kOwnKeys.end()) return;
  try {
    require_config_key(key, where);
  } catch (const Error& error) {
    throw Error(Exit::usage, fmt::format("{}; or one of {}", error.what(), fmt::join(kOwnKeys, ", ")));
  }
}

Expression read_condition(const std::string& text) {
  Expression condition(text, "--where");
  for (const std::string& key : condition.keys()) require_list_key(key, "--where");
  return condition;
}

bool holds_for(const Expression& condition, const ListedRun& run) {
  const auto value = [&](const std::string& key) { return value_of(run, key); };
  try {
    return condition.holds(value);
  } catch (const Error&) {
    for (const std::string& key : condition.keys())
      if (value(key).is_null()) return false;
    throw;
  }
}

void sort_runs(std::vector<ListedRun>& runs, const std::string& key, bool reverse) {
  const auto text = [&](const ListedRun& run) {
    const Json value = value_of(run, key);
    return value.is_string() ? value.get<std::string>() : value.dump();
  };
  const auto none = std::stable_partition(runs.begin(), runs.end(),
                                          [&](const ListedRun& run) { return !value_of(run, key).is_null(); });
  std::stable_sort(runs.begin(), none, [&](const ListedRun& a, const ListedRun& b) {
    return reverse ? setting_less(text(b), text(a)) : setting_less(text(a), text(b));
  });
}

namespace {

/// A key that some runs have one value of and others not at all, as another experiment has it not, is no difference:
/// all get that value.
void fill_in(std::vector<RunSummary>& runs) {
  std::map<std::string, std::set<std::string>> values;
  for (const RunSummary& run : runs)
    for (const auto& [key, value] : run.settings) values[key].insert(value);
  for (RunSummary& run : runs)
    for (const auto& [key, of_all] : values)
      if (of_all.size() == 1) run.settings.emplace(key, *of_all.begin());
}

/// "01.txt and 7 more" of a list of paths; other values as they are.
std::string short_value(const std::string& value) {
  if (!value.starts_with("[\"")) return value;
  const Json list = parse_json(value, "a setting");
  const std::string first = fs::path(list.front().get<std::string>()).filename().string();
  return list.size() == 1 ? first : fmt::format("{} and {} more", first, list.size() - 1);
}

}  // namespace

std::vector<std::string> differing_settings(const std::vector<ListedRun>& runs) {
  std::vector<RunSummary> summaries;
  std::vector<std::size_t> among;
  std::set<std::string> seeds;
  for (const ListedRun& run : runs) {
    among.push_back(summaries.size());
    summaries.push_back(run.run);
    seeds.insert(run.run.setting("seed"));
  }
  fill_in(summaries);
  std::vector<std::string> keys = naming_keys(summaries, among);
  std::erase(keys, kPointKey);  // the name says it
  if (seeds.size() > 1) keys.push_back("seed");
  std::vector<std::string> texts;
  for (const RunSummary& run : summaries) {
    std::string text;
    for (const std::string& key : keys)
      if (const std::string value = run.setting(key); !value.empty() && key != "model.path")
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", short_name(key), short_value(value));
    texts.push_back(printable(text, 300));
  }
  return texts;
}

std::string list_text(const std::vector<ListedRun>& runs) {
  const std::vector<std::string> settings = differing_settings(runs);
  std::vector<std::array<std::string, 9>> rows{
      {"date", "state", "base PPL", "PPL", "change %", "model", "name", "settings that differ", "folder"}};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ListedRun& run = runs[i];
    std::string name = printable(run.name, 60);
    for (const std::string& tag : run.tags) name += " #" + printable(tag, 40);
    rows.push_back({run.date, state_text(run), cell(run.progress.base, "{:.2f}"),
                    cell(perplexity(run), "{:.2f}"), cell(run.progress.change_percent(), "{:+.1f}"),
                    printable(run.run.model(), 40), name, settings[i].empty() ? kDash : settings[i],
                    shown_path(run.run.folder)});
  }
  std::array<std::size_t, 9> widths{};  // in letters
  for (const auto& row : rows)
    for (std::size_t c = 0; c < row.size(); ++c)
      widths[c] = std::max(widths[c], std::size_t(std::count_if(row[c].begin(), row[c].end(),
                                                                [](char byte) { return (byte & 0xC0) != 0x80; })));
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t c = 0; c + 1 < row.size(); ++c) {
      const bool number = c >= 2 && c <= 4;
      text += number ? fmt::format("{:>{}}  ", row[c], widths[c]) : fmt::format("{:<{}}  ", row[c], widths[c]);
    }
    text += row.back() + "\n";
  }
  return text;
}

Json list_json(const std::vector<ListedRun>& runs) {
  const std::vector<std::string> settings = differing_settings(runs);
  Json list = Json::array();
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ListedRun& run = runs[i];
    list.push_back({{"folder", run.run.folder.string()},
                    {"date", run.date},
                    {"name", run.name},
                    {"tags", run.tags},
                    {"experiment", run.run.experiment()},
                    {"model", run.run.model()},
                    {"settings", settings[i]},
                    {"config_hash", run.run.config_hash()},
                    {"progress", to_json(run.progress)}});
  }
  return list;
}

}  // namespace templora
