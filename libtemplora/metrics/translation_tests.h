#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "metrics/interval.h"
#include "metrics/paired_test.h"
#include "run/record.h"

namespace templora {

/// Whether Temp-LoRA's translations differ from the base's by more than chance, by one score.
struct TranslationTest {
  std::string score;          ///< "bleu", "chrf2" (both 0 … 100), "comet": sacreBLEU's defaults
  PairedTest test;            ///< base first; over the pairs that both translated
  std::int64_t pairs = 0;
  /// Over novels of each novel's own score of Temp-LoRA less the base's: pairs of one novel are alike, which the tests
  /// over pairs do not know.
  BookMean over_novels;
};

/// The tests of a run's pairs, and of one COMET record for each of them, where there are any. Empty where no pair has
/// both translations.
std::vector<TranslationTest> translation_tests(const std::vector<PairRecord>& pairs,
                                               const std::vector<CometRecord>& comet,
                                               const PairedTestOptions& options = {});

}  // namespace templora
