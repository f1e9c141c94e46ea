#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "run/run_folder.h"

namespace templora {

/// Most bins of a curve, however long the books are.
inline constexpr std::int64_t kCurveBins = 60;

/// One bin of positions in the book.
struct CurvePoint {
  double token = 0;                 ///< middle of the bin
  double ppl = 0;                   ///< exp(mean over books of a book's mean NLL in the bin)
  std::optional<double> low, high;  ///< the base's ppl times the 95 % interval of the change over books
  std::int64_t books = 0;
  std::int64_t tokens = 0;          ///< scored
};

/// Perplexity against position by one scorer.
struct PositionCurve {
  Scorer scorer = Scorer::base;
  std::int64_t bin_tokens = 0;
  std::vector<CurvePoint> points;   ///< bins with scored tokens only
};

/// One curve for each scorer of the run, in bins of equal width. The interval is that of the paired difference
/// from the base, because books differ far more from each other than a book does from itself; the base has none.
std::vector<PositionCurve> position_curves(const RunData& run);

}  // namespace templora
