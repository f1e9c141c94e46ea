#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "run/run_data.h"

namespace templora {

/// Most bins of a curve, however long the books are.
inline constexpr std::int64_t kCurveBins = 60;

/// What one arm made of a book's tokens in a bin of positions.
struct BinSum {
  double nll = 0;           ///< sum, nats
  std::int64_t tokens = 0;  ///< scored, more than 0
  double mean() const { return nll / static_cast<double>(tokens); }
};

/// NLLs of a run by position: [arm][bin][book index], bins of equal width from position 0 on.
struct PositionBins {
  std::int64_t bin_tokens = 0;
  std::map<Arm, std::map<std::int64_t, std::map<std::int64_t, BinSum>>> sums;
};

/// At most kCurveBins bins, of at least 100 tokens.
PositionBins position_bins(const RunData& run);

/// One bin of positions in the book.
struct CurvePoint {
  double token = 0;                 ///< middle of the bin
  double ppl = 0;                   ///< exp(mean over books of a book's mean NLL in the bin)
  std::optional<double> low, high;  ///< the base's ppl times the 95 % interval of the change over books
  std::optional<double> seed_sd;    ///< standard deviation of ppl over seeds; none of one seed
  std::int64_t books = 0;
  std::int64_t tokens = 0;          ///< scored
};

/// Perplexity against position by one arm.
struct PositionCurve {
  Arm arm = Arm::base;
  std::int64_t bin_tokens = 0;
  std::vector<CurvePoint> points;   ///< bins with scored tokens only
};

/// One curve for each arm. The interval is that of the paired difference from the base, because books differ far
/// more from each other than a book does from itself; the base has none.
std::vector<PositionCurve> position_curves(const PositionBins& run);

/// The same of runs that differ in the seed alone: a book's NLL is its mean over them. Of runs with other bins than the
/// first, as unfinished ones may have, and of books that a run lacks, nothing is taken.
std::vector<PositionCurve> position_curves(const std::vector<const PositionBins*>& seeds);

}  // namespace templora
