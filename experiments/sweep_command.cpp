// `templora sweep` and `templora status`.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "commands.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "cost/run_seconds.h"
#include "cost_command.h"
#include "dry_run.h"
#include "sweep/cell.h"
#include "sweep/cell_size.h"
#include "sweep/slurm.h"
#include "sweep/status.h"
#include "sweep/sweep_file.h"
#include "sweep/workers.h"

namespace fs = std::filesystem;

namespace templora {
namespace {

struct SweepArguments {
  std::string file, out, store, device;
  std::int64_t workers = 1;
  bool dry_run = false, slurm = false, retry_failed = false, no_wait = false, json = false;
};

struct OpenedSweep {
  SweepFile file;
  std::vector<LoadedConfig> configs;  // of its cells; of a folder's sweep only for a dry run
};

// Threads of a cell whose config leaves them open: what a task of the array will have, whatever this machine has, or a
// worker's part of what this process may use.
std::int64_t cell_threads(const SweepDefinition& definition, const SweepArguments& arguments) {
  const std::int64_t cpus = arguments.slurm ? std::max<std::int64_t>(1, definition.slurm.cpus) : usable_cpus().count;
  return std::max<std::int64_t>(1, cpus / (arguments.slurm ? definition.slurm.workers : arguments.workers));
}

// What each cell takes on this machine, by a few chunks of the largest that is left: as a single run's dry run has it.
CellSpeed speed_here(const SweepFile& sweep, const std::vector<LoadedConfig>& configs, std::size_t probed) {
  const Probe probe = probe_run(configs[probed]);
  CellSpeed speed;
  for (const LoadedConfig& cell : configs)
    speed.seconds.push_back(seconds_at(estimate_cost(cell.config), probe.cost));
  const std::int64_t threads = configs[probed].config.run.threads;
  speed.text = fmt::format("on this machine with {} thread{}, at the speed of {} in cell {}, which took {:.1f} s now",
                           threads, threads == 1 ? "" : "s", probe.what, values_text(sweep.cells[probed].values),
                           probe.seconds);
  speed.measured = true;
  return speed;
}

// The same by a device's peaks.
CellSpeed floor_on(const std::string& device, const std::vector<LoadedConfig>& configs) {
  const DevicePeaks peaks = device_peaks(device);
  CellSpeed speed;
  for (const LoadedConfig& cell : configs) {
    double seconds = 0;
    for (const auto& [phase, work] : estimate_cost(cell.config).phases)
      seconds += floor_seconds(work, peaks, cell.config.model.dtype);
    speed.seconds.push_back(seconds);
  }
  speed.text = fmt::format("on {}, by its peaks, which no run reaches", peaks.name);
  return speed;
}

// None where cells that are done tell more, where others will do the work, and of translations, whose answers tell.
std::optional<CellSpeed> dry_speed(const SweepFile& sweep, const std::vector<LoadedConfig>& configs,
                                   const SweepArguments& arguments) {
  const bool translates = std::any_of(configs.begin(), configs.end(), [](const LoadedConfig& cell) {
    return cell.config.experiment == ExperimentKind::translation;
  });
  if (translates) return std::nullopt;
  if (!arguments.device.empty()) return floor_on(arguments.device, configs);
  if (arguments.slurm || speed_is_known(sweep)) return std::nullopt;
  for (const std::size_t place : largest_first(sweep)) {
    if (cell_status(sweep.cells[place]).state == CellState::done) continue;
    try {
      return speed_here(sweep, configs, place);
    } catch (const Error& error) {  // this cell will fail; the list is wanted all the same
      if (error.exit_code() == Exit::interrupted) throw;
      log_line(fmt::format("{}: {}", values_text(sweep.cells[place].values), error.what()));
    }
  }
  return std::nullopt;
}

void dry_run_of_sweep(const SweepFile& sweep, const std::vector<LoadedConfig>& configs,
                      const SweepArguments& arguments) {
  const std::optional<CellSpeed> speed = dry_speed(sweep, configs, arguments);
  print_out(arguments.json ? dump_json_pretty(plan_json(sweep, speed), "plan") : plan_text(sweep, speed));
}

// The sweep of a file, made or gone on with; or that of a folder, as it was made.
OpenedSweep open_sweep(const SweepArguments& arguments) {
  if (fs::is_directory(arguments.file)) {
    if (!arguments.out.empty() || !arguments.store.empty())
      throw Error(Exit::usage,
                  fmt::format("{}: is a sweep's folder, wanted no --out and no --store beside it", arguments.file));
    OpenedSweep opened{read_sweep(fs::absolute(arguments.file).lexically_normal()), {}};
    if (arguments.dry_run)
      for (const SweepCell& cell : opened.file.cells)
        opened.configs.push_back(load_config(config_file(cell.folder).string(), {}));
    return opened;
  }
  const SweepDefinition definition = read_sweep_definition(arguments.file);
  const fs::path folder = arguments.out.empty() ? fs::path("runs") / definition.name : fs::path(arguments.out);
  NewSweep made = make_sweep(definition, folder, arguments.store, cell_threads(definition, arguments));
  if (!arguments.dry_run) write_sweep(made);
  return {std::move(made.file), std::move(made.configs)};
}

void sweep(const SweepArguments& arguments) {
  install_stop_handlers();
  if (!arguments.device.empty() && !arguments.dry_run)
    throw Error(Exit::usage, "--device: is for --dry-run only; cells use what model.device names");
  const OpenedSweep both = open_sweep(arguments);
  const SweepFile& opened = both.file;
  if (arguments.dry_run) return dry_run_of_sweep(opened, both.configs, arguments);
  if (arguments.retry_failed)
    for (const SweepCell& cell : opened.cells) clear_failure(cell.folder);
  const fs::path program = fs::read_symlink("/proc/self/exe");
  if (arguments.slurm) {
    const SlurmJob job = submit_to_slurm(opened, program);
    if (!arguments.json)
      return print_out(fmt::format("job {}{}; templora status {}\n", job.number,
                                   job.cluster.empty() ? "" : " on cluster " + printable(job.cluster),
                                   printable(opened.path.string(), 4000)));
    Json answer{{"job", job.number}, {"folder", opened.path.string()}};
    if (!job.cluster.empty()) answer["cluster"] = job.cluster;
    return print_out(dump_json_pretty(answer, "job"));
  }
  log_line(fmt::format("sweep folder: {}", opened.path.string()));
  WorkOptions options;
  options.program = program;
  options.workers = arguments.workers;
  options.wait = !arguments.no_wait;
  const WorkResult result = work_on(opened, options);
  print_out(arguments.json ? dump_json_pretty(status_json(opened), "status") : status_text(opened));
  if (result.failed > 0)
    throw Error(Exit(result.exit_code),
                fmt::format("{} of {} cells failed; see templora status {}, then start again with --retry-failed",
                            result.failed, result.done + result.failed + result.left, opened.path.string()));
}

}  // namespace

void add_sweep_command(CommandLine& line) {
  const auto arguments = std::make_shared<SweepArguments>();
  Command command = line.command("sweep", "run every cell of a grid of settings");
  command.option("sweep", arguments->file, "sweep file, or the folder of a sweep to go on with").required();
  command.option("--out", arguments->out, "the sweep's folder; default runs/<name of the sweep>");
  command.option("--store,--cells", arguments->store,
                 "folder of cells that several sweeps share, to be linked to; default: cells in the sweep's folder");
  command.option("--workers", arguments->workers, "cells at once").between(1, 4096);
  command.flag("--dry-run", arguments->dry_run, "list the cells, largest first, say how long, and write nothing");
  command.option("--device", arguments->device, "with --dry-run: instead of a measurement here, the " +
                                                    device_option_help());
  command.flag("--slurm", arguments->slurm, "submit a job array instead of running the cells here");
  command.flag("--retry-failed", arguments->retry_failed, "run failed cells again");
  command.flag("--no-wait", arguments->no_wait, "end when nothing is left to take, though others still work");
  command.flag("--json", arguments->json, "print JSON");
  command.examples({"templora sweep configs/sweeps/delta_window.json --dry-run",
                    "templora sweep configs/sweeps/delta_window.json --workers 2"});
  command.action([arguments] { sweep(*arguments); });
}

void add_status_command(CommandLine& line) {
  const auto folder = std::make_shared<std::string>();
  const auto json = std::make_shared<bool>(false);
  Command command =
      line.command("status", "say how far the cells of a sweep are, and which are running, interrupted or failed");
  command.option("folder", *folder, "the sweep's folder").required();
  command.flag("--json", *json, "print JSON");
  command.examples({"templora status runs/delta_window",
                    "templora status runs/delta_window --json"});
  command.action([folder, json] {
    const SweepFile sweep = read_sweep(fs::absolute(*folder).lexically_normal());
    print_out(*json ? dump_json_pretty(status_json(sweep), "status") : status_text(sweep));
  });
}

}  // namespace templora
