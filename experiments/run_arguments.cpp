#include "run_arguments.h"

#include <fmt/format.h>

#include <set>

#include "core/error.h"
#include "core/file.h"
#include "sweep/sweep_file.h"

namespace templora {
namespace {

/// The cells of a sweep that have been started; the others are counted.
void add_sweep(const fs::path& folder, std::vector<RunSource>& sources, std::vector<std::string>& remarks) {
  const SweepFile sweep = read_sweep(folder);
  std::set<fs::path> waiting, started;  // combinations of equal effect share a cell
  for (const SweepCell& cell : sweep.cells) {
    const bool has_run = fs::exists(cell.folder / "run.json");
    (has_run ? started : waiting).insert(cell.folder);
    if (!has_run) continue;
    RunSource source{cell.folder, cell.folder.string(), {}, sweep.segment_edges};
    // Keys that are computed from others are no axes of their own.
    for (const auto& [key, value] : cell.values.items())
      if (!sweep.definition.contains("set") || !sweep.definition["set"].contains(key))
        source.values[key] = value.dump();
    sources.push_back(std::move(source));
  }
  const std::size_t cells = waiting.size() + started.size();
  if (started.empty())
    throw Error(Exit::bad_input,
                fmt::format("{}: none of its {} cells has been started; see templora status", folder.string(), cells));
  if (!waiting.empty())
    remarks.push_back(fmt::format("{}: {} of {} cells have not been started.", folder.string(), waiting.size(), cells));
}

}  // namespace

std::vector<RunSource> sources_of(const std::vector<std::string>& folders, std::vector<std::string>& remarks) {
  std::vector<RunSource> sources;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder))
      throw Error(Exit::bad_input,
                  fmt::format("{}: no such folder, wanted a run's or a sweep's", printable(folder, 1000)));
    if (fs::exists(fs::path(folder) / "sweep.json"))
      add_sweep(folder, sources, remarks);
    else
      sources.push_back({folder, fs::path(folder).lexically_normal().string(), {}});
  }
  return sources;
}

}  // namespace templora
