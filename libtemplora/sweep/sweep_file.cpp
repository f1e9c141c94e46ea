#include "sweep/sweep_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "core/error.h"
#include "core/log.h"
#include "sweep/cell.h"

namespace templora {
namespace {

constexpr const char* kSweepName = "sweep.json";
constexpr const char* kBaseScores = "base_scores";
constexpr const char* kCells = "cells";

// Constants of `set` are alike in all cells, and a point's name says what it sets: both are left out.
Json values_json(const SweepDefinition& sweep, const CellValues& values) {
  Json object = Json::object();
  for (const auto& [key, value] : values) {
    const auto constant =
        std::find_if(sweep.computed.begin(), sweep.computed.end(), [&, &name = key](const ComputedKey& computed) {
          return computed.key == name && std::holds_alternative<Json>(computed.value);
        });
    if (constant == sweep.computed.end() && !sweep.point_keys.contains(key)) object[key] = value;
  }
  return object;
}

// What makes two sweeps the same, wherever they lie: the file without what only says how it is run.
Json definition_json(const SweepDefinition& sweep) {
  Json definition = sweep.source;
  for (const char* how : {"slurm", "notes"}) definition.erase(how);
  definition["name"] = sweep.name;
  definition["base"] = sweep.base;
  return definition;
}

void require_same(const Json& here, const Json& there, const fs::path& folder) {
  if (here == there) return;
  std::string differs;
  std::set<std::string> keys;
  for (const Json* side : {&here, &there})
    for (const auto& item : side->items()) keys.insert(item.key());
  for (const std::string& key : keys)
    if (here.value(key, Json()) != there.value(key, Json())) differs += (differs.empty() ? "" : ", ") + key;
  throw Error(Exit::usage,
              fmt::format("{}: holds the sweep {}, which is another one: {} differs; choose another --out (cells that "
                          "are finished are found again), or remove its sweep.json",
                          folder.string(), there.contains("name") ? printable(there.at("name").dump()) : "", differs));
}

// Values that occur, in the order in which they do.
Json axes_json(const std::vector<SweepCell>& cells) {
  Json axes = Json::object();
  std::map<std::string, std::set<std::string>> seen;
  for (const SweepCell& cell : cells)
    for (const auto& item : cell.values.items())
      if (seen[item.key()].insert(item.value().dump()).second) axes[item.key()].push_back(item.value());
  return axes;
}

// What the cell's run is started with: all keys, but those that `fidelity` fills, so that the run says so itself.
// The place of the base model's scores is relative to it: a sweep that was moved takes them with it.
Json config_json(const LoadedConfig& loaded) {
  Json config = readable_config(loaded.effective);
  for (const std::string& key : loaded.set_by_fidelity) {
    const std::size_t dot = key.find('.');
    config[key.substr(0, dot)].erase(key.substr(dot + 1));
  }
  if (loaded.config.experiment == ExperimentKind::perplexity && !loaded.config.score.base_scores)
    config["score"]["base_scores"] = kBaseScores;
  return config;
}

void create_folders(const fs::path& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure)
    throw Error(Exit::resources, fmt::format("{}: cannot create the folder: {}", folder.string(), failure.message()));
}

void write_if_new(const fs::path& file, const std::string& content) {
  if (fs::exists(file) && read_file(file) == content) return;
  write_file_atomically(file, content);
}

// Links are for people and for copies that follow them; what is run is found by sweep.json.
void link_cells(const SweepFile& sweep) {
  const fs::path links = sweep.path / kCells;
  if (fs::weakly_canonical(links) == fs::weakly_canonical(sweep.store)) return;
  create_folders(links);
  for (const std::size_t place : distinct_cells(sweep)) {
    const SweepCell& cell = sweep.cells[place];
    const fs::path link = links / cell.key;
    std::error_code failure;
    if (fs::symlink_status(link, failure).type() != fs::file_type::not_found) continue;
    failure.clear();
    fs::create_directory_symlink(fs::relative(cell.folder, links), link, failure);
    if (!failure) continue;
    return log_line(fmt::format("{}: no link can be made ({}); the cells are in {}", link.string(), failure.message(),
                                sweep.store.string()));
  }
}

/// sweep.json, whether its store is there or not.
SweepFile read_sweep_file(const fs::path& folder) {
  const fs::path file = folder / kSweepName;
  if (!fs::exists(file))
    throw Error(Exit::bad_input, fmt::format("{}: no such file, wanted the folder of a sweep", file.string()));
  SweepFile sweep;
  sweep.path = folder;
  const Json json = parse_json(read_file(file), file.string());
  try {
    sweep.name = json.at("name").get<std::string>();
    sweep.base = json.at("base");
    sweep.axes = json.at("axes");
    sweep.definition = json.at("definition");
    if (!sweep.definition.is_object())
      throw Error(Exit::bad_input,
                  fmt::format("{}: definition: got no object; start the sweep again with its file", file.string()));
    sweep.segment_edges = json.value("segment_edges", sweep.segment_edges);
    sweep.threads = json.at("threads").get<std::int64_t>();
    sweep.store = (folder / json.at("store").get<std::string>()).lexically_normal();
    sweep.slurm = read_slurm_settings(json.at("slurm"), file.string());
    for (const Json& item : json.at("cells")) {
      SweepCell& cell = sweep.cells.emplace_back();
      cell.key = item.at("key").get<std::string>();
      cell.folder = (folder / item.at("folder").get<std::string>()).lexically_normal();
      // Cells lie in the store and nowhere else: a damaged record must not send a run to another place.
      const bool key = cell.key.size() == 20 && cell.key.find_first_not_of("0123456789abcdef") == std::string::npos;
      if (!key || cell.folder != sweep.store / cell.key)
        throw Error(
            Exit::bad_input,
            fmt::format("{}: cell {}: got the folder {}, wanted {}; start the sweep again with its file", file.string(),
                        printable(cell.key), shown_path(cell.folder), (sweep.store / "<key>").string()));
      cell.values = item.at("values");
      cell.size = {item.at("tokens").get<double>(), item.at("flops").get<double>(),
                   item.at("memory_bytes").get<double>()};
    }
  } catch (const Json::exception& error) {
    throw Error(Exit::bad_input, fmt::format("{}: damaged ({}); start the sweep again with its file", file.string(),
                                             printable(error.what())));
  }
  return sweep;
}

}  // namespace

SweepFile read_sweep(const fs::path& folder) {
  SweepFile sweep = read_sweep_file(folder);
  if (sweep.store != normal_path(folder) / kCells && !fs::is_directory(sweep.store))
    throw Error(Exit::bad_input,
                fmt::format("{}: its cells are in the store {}, which is not there: was the folder copied or moved "
                            "without it? Bring the store too, or run the sweep's file again with --store naming it",
                            (folder / kSweepName).string(), shown_path(sweep.store)));
  return sweep;
}

std::vector<std::size_t> distinct_cells(const SweepFile& sweep) {
  std::vector<std::size_t> places;
  std::set<std::string> keys;
  for (std::size_t i = 0; i < sweep.cells.size(); ++i)
    if (keys.insert(sweep.cells[i].key).second) places.push_back(i);
  return places;
}

std::vector<std::size_t> largest_first(const SweepFile& sweep) {
  std::vector<std::size_t> places = distinct_cells(sweep);
  std::stable_sort(places.begin(), places.end(),
                   [&](std::size_t a, std::size_t b) { return sweep.cells[a].size.flops > sweep.cells[b].size.flops; });
  return places;
}

namespace {

/// 0.1 took segment edges into a cell's key. A cell that it has finished, or has begun where there is none under the
/// present key, is gone on with.
std::string key_of_cell(InputFiles& inputs, const Config& config, const fs::path& store) {
  const std::string key = inputs.cell_key(config), older = inputs.cell_key(config, HashForm::of_0_1);
  const bool found = fs::exists(store / older / "run.json");
  const bool better = is_done(store / older) ? !is_done(store / key) : found && !fs::exists(store / key);
  return better ? older : key;
}

}  // namespace

NewSweep make_sweep(const SweepDefinition& definition, const fs::path& folder, const fs::path& store,
                    std::int64_t threads) {
  NewSweep made;
  SweepFile& file = made.file;
  file.path = normal_path(fs::absolute(folder));
  file.store = store.empty() ? file.path / kCells : normal_path(fs::absolute(store));
  file.name = definition.name;
  file.base = definition.base;
  file.definition = definition_json(definition);
  file.slurm = definition.slurm;
  file.threads = threads;
  if (fs::exists(file.path / kSweepName)) {
    // A store that is named takes the place of one that is away.
    const SweepFile there = store.empty() ? read_sweep(file.path) : read_sweep_file(file.path);
    require_same(file.definition, there.definition, file.path);
    file.threads = there.threads;  // other bits else, and so other cells
    if (store.empty()) file.store = there.store;
  }
  for (const CellValues& values : expand(definition)) {
    LoadedConfig config = cell_config(definition, values, file.threads);
    SweepCell& cell = file.cells.emplace_back();
    cell.key = key_of_cell(made.inputs, config.config, file.store);
    if (file.segment_edges.empty()) file.segment_edges = config.config.score.segment_edges;
    cell.folder = file.store / cell.key;
    cell.values = values_json(definition, values);
    cell.size = estimate_size(config.config);
    made.configs.push_back(std::move(config));
  }
  file.axes = axes_json(file.cells);
  return made;
}

void write_sweep(const NewSweep& sweep) {
  const SweepFile& file = sweep.file;
  create_folders(file.path);
  create_folders(file.store);
  link_cells(file);
  Json cells = Json::array();
  for (std::size_t i = 0; i < file.cells.size(); ++i) {
    const SweepCell& cell = file.cells[i];
    cells.push_back({{"key", cell.key},
                     {"folder", cell.folder.lexically_relative(file.path).string()},
                     {"values", cell.values},
                     {"tokens", cell.size.tokens},
                     {"flops", cell.size.flops},
                     {"memory_bytes", cell.size.memory_bytes}});
    if (!is_done(cell.folder))
      write_if_new(config_file(cell.folder), dump_json_pretty(config_json(sweep.configs[i]), "cell"));
  }
  write_if_new(file.path / "inputs.json", dump_json_pretty(sweep.inputs.to_json(), "inputs.json"));
  const Json json{{"name", file.name},
                  {"base", file.base},
                  {"axes", file.axes},
                  {"segment_edges", file.segment_edges},
                  {"threads", file.threads},
                  {"store", file.store.lexically_relative(file.path).string()},
                  {"slurm", to_json(file.slurm)},
                  {"cells", cells},
                  {"definition", file.definition}};
  write_if_new(file.path / kSweepName, dump_json_pretty(json, kSweepName));
}

}  // namespace templora
