#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "metrics/interval.h"

namespace templora {

/// What of a run is taken apart: each has two levels.
enum class Factor { window, adapter, base };

/// Runs that score the same texts under two windows, with two bases or both, taken apart: every combination of levels
/// on the tokens that all of them scored. A path from one corner to another always adds up and proves nothing; a
/// factorial says what interacts.
struct FactorTable {
  struct Level {
    Factor factor;
    std::string low, high;  ///< "1,024 tokens", "8,192 tokens"; "off", "on"; names of models
  };
  /// One combination: high or low of each level.
  struct Cell {
    std::vector<bool> high;                 ///< by level
    double nll = 0;                         ///< mean over books of mean NLLs, nats a token
    std::optional<double> flops, seconds;   ///< a token; none where the run's cost does not say
  };
  /// Half the sum of differences (Box, Hunter and Hunter 2005, section 5.3): of one factor, its mean effect over the
  /// others' levels; of several, how the effect of one depends on the others.
  struct Effect {
    std::vector<Factor> of;
    BookMean nats;
  };
  std::vector<Level> levels;
  std::vector<Cell> cells;      ///< all 2^levels, the first level changing fastest
  std::vector<Effect> effects;
  std::int64_t books = 0, tokens = 0;  ///< that all runs scored
};

/// Runs of one window and one base may split the books. Throws Error(bad_input) where a folder is no finished
/// perplexity run, and Error(usage) where they are not all combinations of one or two windows and one or two bases,
/// with a base and an adapter column, read a book twice, or share no scored token.
FactorTable factor_table(const std::vector<fs::path>& runs);

std::string factors_markdown(const FactorTable& table);
Json to_json(const FactorTable& table);

}  // namespace templora
