#include "metrics/translation_tests.h"

#include <map>

#include "core/check.h"

namespace templora {
namespace {

/// Sums of the segments of each novel, by its place in the run.
std::map<std::int64_t, std::vector<double>> sums_of(const SegmentStatistics& all,
                                                    const std::vector<std::int64_t>& novels) {
  std::map<std::int64_t, std::vector<double>> sums;
  for (std::size_t i = 0; i < novels.size(); ++i) {
    std::vector<double>& of_novel = sums[novels[i]];
    of_novel.resize(all.width);
    for (std::size_t k = 0; k < all.width; ++k) of_novel[k] += all.values[i * all.width + k];
  }
  return sums;
}

TranslationTest test_of(const std::string& score, const SegmentStatistics& base, const SegmentStatistics& lora,
                        const std::vector<std::int64_t>& novels, const PairedTestOptions& options) {
  const auto of_base = sums_of(base, novels), of_lora = sums_of(lora, novels);
  std::vector<double> differences;
  for (const auto& [novel, sums] : of_base) differences.push_back(lora.score(of_lora.at(novel)) - base.score(sums));
  return {score, paired_test(base, lora, options), static_cast<std::int64_t>(novels.size()),
          mean_over_books(differences)};
}

}  // namespace

std::vector<TranslationTest> translation_tests(const std::vector<PairRecord>& pairs,
                                               const std::vector<CometRecord>& comet,
                                               const PairedTestOptions& options) {
  TEMPLORA_CHECK(comet.empty() || comet.size() == pairs.size(), "one COMET record a pair");
  std::vector<std::string> base, lora;
  std::vector<std::vector<std::string>> references;
  std::vector<double> base_comet, lora_comet;
  std::vector<std::int64_t> novels, judged;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const PairRecord& pair = pairs[i];
    if (pair.skipped || !pair.base_text || !pair.lora_text) continue;
    base.push_back(*pair.base_text);
    lora.push_back(*pair.lora_text);
    references.push_back({pair.en});
    novels.push_back(pair.novel_index);
    if (comet.empty() || !comet[i].base_comet || !comet[i].lora_comet) continue;
    base_comet.push_back(*comet[i].base_comet);
    lora_comet.push_back(*comet[i].lora_comet);
    judged.push_back(pair.novel_index);
  }
  std::vector<TranslationTest> tests;
  if (base.empty()) return tests;
  tests.push_back(
      test_of("bleu", bleu_segments(base, references), bleu_segments(lora, references), novels, options));
  tests.push_back(
      test_of("chrf2", chrf_segments(base, references), chrf_segments(lora, references), novels, options));
  if (!judged.empty())
    tests.push_back(test_of("comet", mean_segments(base_comet), mean_segments(lora_comet), judged, options));
  return tests;
}

}  // namespace templora
