#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "sweep/cell_size.h"
#include "sweep/definition.h"
#include "sweep/inputs.h"

namespace templora {

/// One cell as sweep.json has it.
struct SweepCell {
  std::string key;      ///< hash of its config and inputs; two combinations may share one
  fs::path folder;      ///< its run folder
  Json values;          ///< config key -> value, for every key that the sweep sets
  CellSize size;        ///< estimated
};

/// A sweep's folder read back: sweep.json.
struct SweepFile {
  fs::path path;       ///< the sweep's folder
  std::string name;
  Json base;           ///< the base config as it was written
  Json axes;           ///< config key -> values that occur, in order
  Json definition;     ///< what makes two sweeps the same
  std::vector<std::int64_t> segment_edges;  ///< that its reports are cut at; none in a sweep.json of 0.1
  std::int64_t threads = 1;  ///< of a cell whose config leaves run.threads open
  fs::path store;      ///< where the cells really are: `cells` in the sweep's folder, or a folder that sweeps share
  SlurmSettings slurm;
  std::vector<SweepCell> cells;  ///< in the order of the grid
};

/// Throws Error(bad_input) naming the file where it is missing or damaged, and the store where it is away: a folder was
/// copied without it, or it is not mounted.
SweepFile read_sweep(const fs::path& folder);

/// Positions in `cells` with each key once, in the grid's order: combinations that come to the same are one cell.
std::vector<std::size_t> distinct_cells(const SweepFile& sweep);

/// The same, those with most predicted work first.
std::vector<std::size_t> largest_first(const SweepFile& sweep);

/// A sweep about to start or to go on.
struct NewSweep {
  SweepFile file;
  std::vector<LoadedConfig> configs;  ///< of file.cells
  InputFiles inputs;
};

/// Makes the cells of a definition: expands, checks every config, hashes inputs. A cell that 0.1 has run, under the key
/// that it gave it, is found there. Nothing is written. An existing
/// sweep.json in `folder` lends its thread count and must be of the same definition: else Error(usage) that says what
/// differs. `store` empty: that of the sweep.json that is there (in a sweep of 0.1 `cells` beside the folder), else
/// `cells` in the folder; `threads` is for configs that leave run.threads open.
NewSweep make_sweep(const SweepDefinition& definition, const fs::path& folder, const fs::path& store,
                    std::int64_t threads);

/// Writes the cells' configs, inputs.json and sweep.json (last, atomically). Finished cells are left alone. With a
/// store elsewhere `cells` in the sweep's folder has a relative link to each cell.
/// Throws Error(resources).
void write_sweep(const NewSweep& sweep);

}  // namespace templora
