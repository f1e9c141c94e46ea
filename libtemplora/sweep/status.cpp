#include "sweep/status.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "core/log.h"
#include "cost/device_peaks.h"
#include "cost/work.h"
#include "metrics/run_progress.h"

namespace templora {
namespace {

// 1234567 → "1.23M".
std::string short_count(double count) {
  constexpr std::array units{"", "k", "M", "G", "T", "P", "E"};
  std::size_t unit = 0;
  for (; count >= 999.5 && unit + 1 < units.size(); ++unit) count /= 1000;  // three digits would round up to 1000
  return unit == 0 ? fmt::format("{:.0f}", count) : fmt::format("{:.3g}{}", count, units[unit]);
}

// Of the cells that are done, work over time, both of what was really computed there: a cell may have taken over the
// base model's scores. 0 where none is done, or all are older than these numbers.
double measured_flops_per_s(const SweepFile& sweep) {
  double flops = 0, seconds = 0;
  for (const std::size_t place : distinct_cells(sweep)) {
    const SweepCell& cell = sweep.cells[place];
    if (!is_done(cell.folder)) continue;
    try {
      const fs::path file = cell.folder / "summary.json";
      const Json summary = parse_json(read_file(file), file.string());
      const Json& cost = summary.at("cost");
      const double spent = cost.at("seconds").get<double>();
      flops += cost.at("flops").get<double>();
      seconds += spent;
    } catch (const std::exception&) {  // an older summary, or a damaged one: it tells nothing here
    }
  }
  return seconds > 0 ? flops / seconds : 0;
}

// Every cell's work at one rate.
CellSpeed at_rate(const SweepFile& sweep, double flops_per_s, std::string text, bool measured) {
  CellSpeed speed{{}, std::move(text), measured};
  for (const SweepCell& cell : sweep.cells) speed.seconds.push_back(cell.size.flops / flops_per_s);
  return speed;
}

// By the cells that are done, else the peak of `cost.device`, which is a floor and no speed that anything reaches.
CellSpeed speed_of(const SweepFile& sweep) {
  if (const double measured = measured_flops_per_s(sweep); measured > 0)
    return at_rate(sweep, measured, "at the speed of the cells that are done", true);
  const auto written = [&](const char* section, const char* key, const std::string& otherwise) {
    const Json part = sweep.base.is_object() ? sweep.base.value(section, Json::object()) : Json::object();
    const bool given = part.is_object() && part.contains(key) && part.at(key).is_string();
    return given ? part.at(key).get<std::string>() : otherwise;
  };
  const DevicePeaks peaks = device_peaks(written("cost", "device", "cpu"), "cost.device");
  const Dtype dtype = written("model", "dtype", "float32") == "bfloat16" ? Dtype::bfloat16 : Dtype::float32;
  return at_rate(sweep, peaks.flops(dtype),
                 fmt::format("by the peak of \"{}\" (cost.device), which no run reaches", peaks.name), false);
}

}  // namespace

const char* cell_state_name(CellState state) {
  switch (state) {
    case CellState::waiting: return "waiting";
    case CellState::running: return "running";
    case CellState::interrupted: return "interrupted";
    case CellState::failed: return "failed";
    case CellState::done: return "done";
  }
  return "";
}

std::string values_text(const Json& values) {
  std::string text;
  for (const auto& item : values.items())
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", item.key(),
                        item.value().is_string() ? item.value().get<std::string>() : item.value().dump());
  return text.empty() ? "(the base config)" : printable(text, 300);
}

CellStatus cell_status(const SweepCell& cell) {
  CellStatus status;
  if (is_done(cell.folder)) {
    status.state = CellState::done;
  } else if ((status.failure = read_failure(cell.folder))) {
    status.state = CellState::failed;
  } else if ((status.owner = claim_owner(claims_folder(cell.folder)))) {
    if (status.owner->known_dead)
      status.owner.reset();
    else
      status.state = CellState::running;
  }
  std::error_code ignored;
  if (status.state == CellState::waiting && fs::exists(cell.folder / "run.json", ignored))
    status.state = CellState::interrupted;
  return status;
}

Json status_json(const SweepFile& sweep) {
  Json counts{{"done", 0}, {"running", 0}, {"failed", 0}, {"interrupted", 0}, {"waiting", 0}}, cells = Json::array();
  for (const SweepCell& cell : sweep.cells) {
    const CellStatus status = cell_status(cell);
    const char* state = cell_state_name(status.state);
    counts[state] = counts[state].get<std::int64_t>() + 1;
    Json json{{"key", cell.key}, {"folder", cell.folder.string()}, {"values", cell.values}, {"state", state}};
    if (const auto progress = run_progress(cell.folder)) json["progress"] = to_json(*progress);
    if (status.failure) {
      json["exit_code"] = status.failure->exit_code;
      json["signal"] = status.failure->signal;
      json["line"] = status.failure->line;
      json["log"] = log_file(cell.folder).string();
    }
    if (status.owner)
      json["owner"] = {{"host", status.owner->who.host},
                       {"pid", std::int64_t(status.owner->who.pid)},
                       {"job", status.owner->who.job}};
    cells.push_back(std::move(json));
  }
  const auto running = std::max<std::int64_t>(1, counts["running"].get<std::int64_t>());
  return Json{{"name", sweep.name},
              {"folder", sweep.path.string()},
              {"counts", counts},
              {"seconds_left", optional_json(seconds_left(sweep, running))},
              {"cells", cells}};
}

std::optional<double> seconds_left(const SweepFile& sweep, std::int64_t workers) {
  const double speed = measured_flops_per_s(sweep);
  if (!(speed > 0)) return std::nullopt;
  double flops = 0;
  for (const std::size_t place : distinct_cells(sweep)) {
    const SweepCell& cell = sweep.cells[place];
    if (is_done(cell.folder) || read_failure(cell.folder)) continue;
    const auto progress = run_progress(cell.folder);
    flops += cell.size.flops * (1 - (progress ? progress->share().value_or(0) : 0));
  }
  return flops / speed / double(workers);
}

std::string status_text(const SweepFile& sweep) {
  const Json status = status_json(sweep);
  const Json& counts = status.at("counts");
  std::string text = fmt::format("{}: {} cells, {} done, {} running, {} failed, {} interrupted, {} waiting",
                                 printable(sweep.name), sweep.cells.size(), counts.at("done").dump(),
                                 counts.at("running").dump(), counts.at("failed").dump(),
                                 counts.at("interrupted").dump(), counts.at("waiting").dump());
  if (const Json& left = status.at("seconds_left"); !left.is_null() && left.get<double>() > 0)
    text += fmt::format("; about {} left", duration_text(left.get<double>()));
  text += "\n";
  for (const Json& cell : status.at("cells")) {
    text += fmt::format("{:<11} {}  {}", cell.at("state").get<std::string>(), cell.at("key").get<std::string>(),
                        values_text(cell.at("values")));
    if (cell.contains("progress") && !cell["progress"]["text"].get_ref<const std::string&>().empty())
      text += "  " + cell["progress"]["text"].get<std::string>();
    if (cell.contains("owner"))
      text += fmt::format("  on {}, process {}", printable(cell.at("owner").at("host").get<std::string>()),
                          cell.at("owner").at("pid").dump());
    text += "\n";
  }
  for (const Json& cell : status.at("cells"))
    if (cell.contains("line"))
      text += fmt::format("\n{}: exit {}: {}\n  log: {}\n", cell.at("key").get<std::string>(),
                          cell.at("exit_code").dump(), printable(cell.at("line").get<std::string>(), 1000),
                          printable(cell.at("log").get<std::string>(), 4000));
  return text;
}

bool speed_is_known(const SweepFile& sweep) { return measured_flops_per_s(sweep) > 0; }

Json plan_json(const SweepFile& sweep, const std::optional<CellSpeed>& given) {
  Json cells = Json::array();
  double tokens = 0, flops = 0, seconds = 0, left = 0;
  const CellSpeed speed = given ? *given : speed_of(sweep);
  for (const std::size_t place : largest_first(sweep)) {
    const SweepCell& cell = sweep.cells[place];
    const CellState state = cell_status(cell).state;
    cells.push_back({{"key", cell.key},
                     {"values", cell.values},
                     {"state", cell_state_name(state)},
                     {"tokens", cell.size.tokens},
                     {"flops", cell.size.flops},
                     {"memory_bytes", cell.size.memory_bytes},
                     {"seconds", speed.seconds[place]}});
    tokens += cell.size.tokens;
    flops += cell.size.flops;
    seconds += speed.seconds[place];
    if (state != CellState::done) left += speed.seconds[place];
  }
  return Json{{"name", sweep.name},
              {"threads", sweep.threads},
              {"convention", kCountingConvention},
              {"tokens", tokens},
              {"flops", flops},
              {"flops_per_s", seconds > 0 ? Json(flops / seconds) : Json(nullptr)},
              {"speed_measured", speed.measured},
              {"speed", speed.text},
              {"seconds_left", left},
              {"cells", cells}};
}

std::string plan_text(const SweepFile& sweep, const std::optional<CellSpeed>& given) {
  const Json plan = plan_json(sweep, given);
  const auto time = [](const Json& value) { return duration_text(value.get<double>()); };
  std::string text = fmt::format(
      "{}: {} cells, about {} tokens and {}FLOP. One cell after the other {} {} are left, {}.\n\n",
      printable(sweep.name), plan.at("cells").size(), short_count(plan.at("tokens").get<double>()),
      short_count(plan.at("flops").get<double>()), plan.at("speed_measured").get<bool>() ? "about" : "at least",
      time(plan.at("seconds_left")), plan.at("speed").get<std::string>());
  text += fmt::format("{:<11} {:<20} {:>7} {:>7} {:>8} {:>8}  values\n", "state", "cell", "tokens", "FLOP", "memory",
                      "time");
  for (const Json& cell : plan.at("cells"))
    text += fmt::format("{:<11} {:<20} {:>7} {:>7} {:>7}B {:>8}  {}\n", cell.at("state").get<std::string>(),
                        cell.at("key").get<std::string>(), short_count(cell.at("tokens").get<double>()),
                        short_count(cell.at("flops").get<double>()), short_count(cell.at("memory_bytes").get<double>()),
                        time(cell.at("seconds")), values_text(cell.at("values")));
  return text + "\n" + kCountingConvention + "\n";
}

}  // namespace templora
