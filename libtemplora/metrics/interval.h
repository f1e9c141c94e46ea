#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace templora {

/// A mean over books with its 95 % interval.
struct BookMean {
  double mean = 0;
  std::optional<double> low, high;  ///< none where the books are too few
  std::int64_t books = 0;
  std::string method;  ///< "bootstrap-t", "sign-flip", or "none"
};

/// Mean of one value a book. The interval's clusters are books: bootstrap-t (Efron and Tibshirani 1993, section
/// 12.5; 10,000 resamples from `seed`) from 8 books on; inverted exact sign-flip test at 6 and 7; none below,
/// where no honest one exists. Throws Error(bad_input) for no values.
BookMean mean_over_books(const std::vector<double>& values, std::uint64_t seed = 42);

}  // namespace templora
