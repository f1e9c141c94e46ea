#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "metrics/bleu.h"
#include "metrics/chrf.h"

namespace templora {

/// What a corpus score is made of: a row of numbers a segment, whose sums over segments give the score.
struct SegmentStatistics {
  std::size_t width = 0;                                     ///< numbers of a segment, more than 0
  std::vector<double> values;                                ///< [segments, width]
  std::function<double(std::span<const double> sums)> score;  ///< of the sums of some segments

  std::size_t segments() const { return values.size() / width; }
  std::vector<double> sums() const;
};

/// Of BLEU, of chrF, and of the mean of one number a segment, as COMET's; references[i] are those of hypotheses[i].
/// Throws Error as corpus_bleu and corpus_chrf do.
SegmentStatistics bleu_segments(std::span<const std::string> hypotheses,
                                std::span<const std::vector<std::string>> references, const BleuOptions& options = {});
SegmentStatistics chrf_segments(std::span<const std::string> hypotheses,
                                std::span<const std::vector<std::string>> references, const ChrfOptions& options = {});
SegmentStatistics mean_segments(std::span<const double> values);

/// How often a test draws; the defaults are sacreBLEU's.
struct PairedTestOptions {
  int resamples = 1000;  ///< of the bootstrap
  int trials = 10000;    ///< of the randomisation
  std::uint64_t seed = 12345;
};

/// Whether two systems' scores of the same segments differ by more than chance, whichever is the better one.
struct PairedTest {
  double first = 0, second = 0;  ///< scores of all segments
  double bootstrap_p = 1;        ///< paired bootstrap resampling (Koehn 2004)
  double randomization_p = 1;    ///< paired approximate randomisation (Riezler and Maxwell 2005)
};

/// The two paired tests as sacreBLEU 2.6 defines them, p = (c + 1) / (n + 1), where c of n draws are more extreme. The
/// bootstrap draws segments with replacement and counts how often | difference | less its mean over the draws exceeds
/// the corpus's own; the randomisation exchanges the systems' segments at random and counts how often | difference |
/// exceeds it. Of equal scores both p are 1; sacreBLEU, for which no draw exceeds a difference of 0, has the least that
/// there is. Draws are those of sacreBLEU with the same seed. Throws Error(bad_input) where the two are
/// not of as many segments, or of none.
PairedTest paired_test(const SegmentStatistics& first, const SegmentStatistics& second,
                       const PairedTestOptions& options = {});

}  // namespace templora
