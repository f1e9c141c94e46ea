#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"
#include "run/point_key.h"
#include "sweep/expression.h"
#include "sweep/slurm_settings.h"

namespace templora {

/// More combinations than this are refused before any is made.
inline constexpr std::int64_t kMostCells = 1000000;

/// Values of the keys that a sweep sets in one cell, in the order of its file. The name of a point stands in front of
/// its keys, as kPointKey.
using CellValues = std::vector<std::pair<std::string, Json>>;

/// Keys that move together: an axis has one key, a group of `zip` several, `seeds` has "seed"; each of `points` has its
/// name and those that it sets.
struct Dimension {
  std::vector<CellValues> points;
};

/// A key that is computed from others, or a constant.
struct ComputedKey {
  std::string key;
  std::variant<Json, Expression> value;
};

/// What a sweep file says: docs/sweeps.md.
struct SweepDefinition {
  std::string name;
  fs::path file;
  Json source;              ///< the whole file, without "$schema"
  Json base;                ///< the base config as it is written, with what it extends
  std::string base_where;   ///< its file, for messages
  fs::path base_folder;     ///< what relative paths of the config, and of swept keys, are relative to
  std::vector<Dimension> dimensions;  ///< axes, zip, points, seeds; the last varies fastest
  std::set<std::string> point_keys;   ///< those that points set
  std::vector<ComputedKey> computed;  ///< `set`, each after the keys that it names
  std::vector<Expression> conditions;  ///< `where`
  SlurmSettings slurm;

  /// Combinations before `where`; at most kMostCells.
  std::int64_t combinations() const;
};

/// Throws Error(usage) with one line: an unknown key (the nearest known one is named), a key that is set in two places,
/// an empty axis, too many combinations, an expression that cannot be read.
SweepDefinition read_sweep_definition(const fs::path& file);

/// What a config key ("train.epochs") is worth in a config: as it stands there, else as `defaults`
/// (config_defaults()) have it.
Json value_of_key(const Json& config, const Json& defaults, const std::string& key);

/// The values of every combination that `where` lets through, in order. Throws Error(usage) where none is left, or an
/// expression fails.
std::vector<CellValues> expand(const SweepDefinition& sweep);

/// The config of one cell, checked like any config file. Where it leaves run.threads open, `threads` is put there.
LoadedConfig cell_config(const SweepDefinition& sweep, const CellValues& values, std::int64_t threads);

}  // namespace templora
