#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace templora {

/// Fewer books than these say nothing of others.
inline constexpr std::int64_t kFewestBooks = 6;

/// A mean over books with its 95 % interval.
struct BookMean {
  double mean = 0;
  std::optional<double> low, high;  ///< none where the books are too few, or nearly all alike
  std::int64_t books = 0;
  std::string method;               ///< "bootstrap-t", "sign-flip", or "none"
  std::optional<double> p;          ///< sign-flip: exact two-sided p of the hypothesis that the mean is 0
  std::vector<double> values;       ///< one a book where there is no interval, since they are all there is to say
};

/// Mean of one value a book. The interval's clusters are books: symmetric bootstrap-t (Hall 1988; 10,000
/// resamples from `seed`) from 8 books on, none where nearly all values are equal; inverted exact sign-flip test at 6
/// and 7; none below, where no honest one exists. docs/statistics.md has their measured coverage. Throws
/// Error(bad_input) for no values.
BookMean mean_over_books(const std::vector<double>& values, std::uint64_t seed = 42);

/// Means of several settings over the same books, in one order, with intervals that hold all at once: mean ± q ·
/// standard error with q the quantile of the largest |t| of all settings, whose resamples draw the same books (from 8
/// books on; none below). What is said of the best of them by its own interval counts that it was chosen. Of one
/// setting, from 8 books on, it is mean_over_books(). Throws Error(bad_input) for no values.
std::vector<BookMean> means_at_once(const std::vector<std::vector<double>>& values, std::uint64_t seed = 42);

/// One-sided p of "the mean is not below 0" by the sign-flip test over books: the share of all signs of the values
/// whose sum is as low as theirs, exact up to 20 books; beyond, of 100,000 draws from `seed`, theirs counted as one of
/// them. 1 for no values.
double sign_flip_p_below(const std::vector<double>& values, std::uint64_t seed = 42);

/// Holm's step-down adjusted p of several tests (Holm 1979), in their order: a test holds at level a where its own is
/// at most a, and the chance that any of them holds wrongly is at most a.
std::vector<double> holm(const std::vector<double>& p);

/// Sample standard deviation; none of fewer than two values, or where no double holds it.
std::optional<double> standard_deviation(const std::vector<double>& values);

/// A chunk's part of a sum over tokens.
struct ChunkSum {
  double sum = 0;           ///< over the chunk's tokens, nats
  std::int64_t tokens = 0;  ///< more than 0
};

/// A mean over one book's tokens. Its interval says how far chance within this book goes, and nothing about
/// other books.
struct BlockMean {
  double mean = 0;                  ///< nats a token
  std::optional<double> low, high;  ///< none where the chunks are too few
  std::int64_t chunks = 0;
  std::int64_t block_chunks = 0;    ///< chunks of a block; 0 without an interval
};

/// Σsum / Σtokens with a 95 % interval from moving blocks (Künsch 1989) of an eighth of the book, at least 16 chunks,
/// because neighbouring chunks are alike: the spread of the means of all overlapping blocks, with Student's t for as
/// many blocks as fit side by side. There must be at least 4 of them. Throws Error(bad_input) for no chunk.
BlockMean mean_within_book(const std::vector<ChunkSum>& chunks);

}  // namespace templora
