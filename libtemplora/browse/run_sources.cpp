#include "browse/run_sources.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "sweep/sweep_file.h"

namespace templora {
namespace {

/// The cells of a sweep that have been started; the others are counted. → how many there are.
std::size_t add_sweep(const fs::path& folder, std::vector<RunSource>& sources, std::vector<std::string>& remarks) {
  const SweepFile sweep = read_sweep(folder);
  std::set<fs::path> waiting, started;  // combinations of equal effect share a cell
  for (const SweepCell& cell : sweep.cells) {
    const bool has_run = fs::exists(cell.folder / "run.json");
    (has_run ? started : waiting).insert(cell.folder);
    if (!has_run) continue;
    RunSource source{cell.folder, cell.folder.string(), {}, sweep.segment_edges, sweep.name};
    // Keys that are computed from others are no axes of their own.
    for (const auto& [key, value] : cell.values.items())
      if (!sweep.definition.contains("set") || !sweep.definition["set"].contains(key))
        source.values[key] = value.dump();
    sources.push_back(std::move(source));
  }
  const std::size_t cells = waiting.size() + started.size();
  if (!waiting.empty())
    remarks.push_back(fmt::format("{}: {} of {} cells have not been started.", folder.string(), waiting.size(), cells));
  return cells;
}

constexpr int kDeepest = 12;  // folders below the one that is searched

/// Adds the runs below a folder. Links are followed, each real folder is entered once.
class Search {
 public:
  Search(std::vector<RunSource>& sources, std::vector<std::string>& remarks) : sources_(sources), remarks_(remarks) {}

  void enter(const fs::path& folder, int depth) {
    std::error_code problem;
    const fs::path real = fs::canonical(folder, problem);
    if (problem || !fs::is_directory(real, problem) || !entered_.insert(real).second) return;
    if (fs::exists(folder / "run.json", problem)) return add({folder, folder.string(), {}});
    if (fs::exists(folder / "sweep.json", problem)) enter_sweep(folder);
    if (depth == kDeepest) return;
    std::vector<fs::path> inside;
    for (auto entry = fs::directory_iterator(folder, problem); !problem && entry != fs::directory_iterator();
         entry.increment(problem))
      if (!entry->path().filename().string().starts_with(".")) inside.push_back(entry->path());
    std::sort(inside.begin(), inside.end());
    for (const fs::path& path : inside) enter(path, depth + 1);
  }

 private:
  // A cell that was found in its store before is the sweep's cell all the same.
  void add(RunSource source) {
    const fs::path real = fs::weakly_canonical(source.folder);
    entered_.insert(real);
    const auto [place, is_new] = places_.emplace(real, sources_.size());
    if (is_new)
      sources_.push_back(std::move(source));
    else
      sources_[place->second] = std::move(source);
  }

  void enter_sweep(const fs::path& folder) {
    try {
      std::vector<RunSource> cells;
      add_sweep(folder, cells, remarks_);
      for (RunSource& cell : cells) add(std::move(cell));
    } catch (const Error& error) {  // a damaged one hides no other
      remarks_.push_back(error.what());
    }
  }

  std::vector<RunSource>& sources_;
  std::vector<std::string>& remarks_;
  std::set<fs::path> entered_;
  std::map<fs::path, std::size_t> places_;  // of the runs among `sources_`
};

}  // namespace

std::vector<RunSource> sources_of(const std::vector<std::string>& folders, std::vector<std::string>& remarks) {
  std::vector<RunSource> sources;
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder))
      throw Error(Exit::bad_input,
                  fmt::format("{}: no such folder, wanted a run's or a sweep's", printable(folder, 1000)));
    if (fs::exists(fs::path(folder) / "sweep.json")) {
      const std::size_t before = sources.size(), cells = add_sweep(folder, sources, remarks);
      if (sources.size() == before)
        throw Error(Exit::bad_input,
                    fmt::format("{}: none of its {} cells has been started; see templora status", folder, cells));
    } else {
      sources.push_back({folder, fs::path(folder).lexically_normal().string(), {}});
    }
  }
  return sources;
}

std::vector<RunSource> find_runs(const std::vector<std::string>& folders, std::vector<std::string>& remarks) {
  std::vector<RunSource> sources;
  Search search(sources, remarks);
  for (const std::string& folder : folders) {
    if (!fs::is_directory(folder))
      throw Error(Exit::bad_input,
                  fmt::format("{}: no such folder, wanted one with runs in it", printable(folder, 1000)));
    search.enter(fs::path(folder).lexically_normal(), 0);
  }
  return sources;
}

}  // namespace templora
