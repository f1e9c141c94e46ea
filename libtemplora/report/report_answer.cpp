// What a reader wants to know first, in a sentence.

#include <fmt/format.h>

#include <algorithm>

#include "metrics/derived.h"
#include "metrics/interval.h"
#include "report/report.h"
#include "report/run_groups.h"
#include "report/run_result.h"

namespace templora {
namespace {

/// Groups whose numbers compare with one another: all have read the same texts, as far.
bool same_texts(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups) {
  return std::all_of(groups.begin(), groups.end(), [&](const RunGroup& group) {
    const RunSummary &run = runs[group.runs.front()], &first = runs[groups.front().runs.front()];
    return run.setting("texts") == first.setting("texts") &&
           run.setting("data.max_tokens") == first.setting("data.max_tokens");
  });
}

/// Of several settings the best was chosen by the very number that is told; what the others have says how much that is.
std::string others(std::vector<double> changes) {
  std::sort(changes.begin(), changes.end());
  if (changes.size() == 2) return fmt::format("the other setting has {:+.2f} %", changes.back());
  return fmt::format("the middle one of the {} settings has {:+.2f} %, the worst {:+.2f} %", changes.size(),
                     changes[changes.size() / 2], changes.back());
}

/// The best setting's change with the interval that holds for all settings at once; none where books are too few.
std::optional<std::string> interval_of_all(const std::vector<RunSummary>& runs, const std::vector<RunGroup>& groups,
                                           std::size_t best) {
  std::vector<BookDifferences> settings;
  for (const RunGroup& group : groups) {
    std::vector<BookDifferences> of_runs;
    for (const std::size_t i : group.runs) {
      const std::map<Arm, BookDifferences>& arms = runs[i].table->all.back().book_differences;
      const auto found = arms.find(Arm::lora);
      of_runs.push_back(found == arms.end() ? BookDifferences() : found->second);
    }
    settings.push_back(mean_differences(of_runs));
  }
  std::vector<std::vector<double>> values(settings.size());
  for (const auto& [book, value] : settings.front()) {
    if (!std::all_of(settings.begin(), settings.end(),
                     [&](const BookDifferences& setting) { return setting.contains(book); }))
      continue;
    for (std::size_t s = 0; s < settings.size(); ++s) values[s].push_back(settings[s].at(book));
  }
  // Of other books than the best one's own number it would say nothing.
  if (values.front().empty() || values.front().size() != settings[best].size()) return std::nullopt;
  const BookMean mean = means_at_once(values)[best];
  if (!mean.low || !mean.high) return std::nullopt;
  const auto low = percent_of(*mean.low), high = percent_of(*mean.high);
  if (!low || !high) return std::nullopt;
  return fmt::format("with all {} counted, by the largest |t| over the books, its interval is [{:+.2f}, {:+.2f}]",
                     settings.size(), *low, *high);
}

std::optional<std::string> perplexity_answer(const std::vector<RunSummary>& runs) {
  std::vector<RunGroup> groups = group_runs(runs, "perplexity");
  std::erase_if(groups, [&](const RunGroup& group) {
    return std::any_of(group.runs.begin(), group.runs.end(), [&](std::size_t i) {
      return !runs[i].table || !runs[i].table->all.back().change_corpus_percent;
    });
  });
  if (groups.empty()) return std::nullopt;
  const auto mean = [&](const RunGroup& group, auto number) {
    return *mean_cell(runs, group.runs, [&](const RunSummary& r) { return number(r.table->all.back()); }).value;
  };
  std::vector<double> changes;
  for (const RunGroup& group : groups)
    changes.push_back(mean(group, [](const SegmentRow& row) { return row.change_corpus_percent; }));
  const auto least = std::min_element(changes.begin(), changes.end());
  if (!same_texts(runs, groups)) {
    std::vector<double> sorted = changes;
    std::sort(sorted.begin(), sorted.end());
    const std::string middle =
        sorted.size() == 2 ? "" : fmt::format(" the middle one {:+.2f} %,", sorted[sorted.size() / 2]);
    return fmt::format(
        "Temp-LoRA changes perplexity by {:+.2f} to {:+.2f} %,{} of {} settings that have read different texts, so "
        "that none is the best.",
        sorted.front(), sorted.back(), middle, sorted.size());
  }
  const RunGroup& best = groups[std::size_t(least - changes.begin())];
  const SegmentRow& row = runs[best.runs.front()].table->all.back();
  if (!row.base->corpus || !row.lora->corpus) return std::nullopt;
  const std::size_t last = runs[best.runs.front()].table->all.size() - 1;
  const std::string answer =
      fmt::format("{} {}.", change_words(*least, mean(best, [](const SegmentRow& r) { return r.base->corpus; }),
                                         mean(best, [](const SegmentRow& r) { return r.lora->corpus; })),
                  basis_words(row, book_cell(runs, best.runs, last, Arm::lora)));
  if (groups.size() == 1) return answer;
  const auto joint = interval_of_all(runs, groups, std::size_t(least - changes.begin()));
  return fmt::format("At {}, the best of {} settings, {} It was chosen on these same texts, which flatters it: {}{}.",
                     best.label, groups.size(), answer, joint ? *joint + "; " : "", others(changes));
}

std::optional<std::string> translation_answer(const std::vector<RunSummary>& runs) {
  std::vector<RunGroup> groups = group_runs(runs, "translation");
  const auto bleu = [&](const RunGroup& group) -> const TranslationTest* {
    const std::vector<TranslationTest>& tests = runs[group.runs.front()].tests;
    return tests.empty() ? nullptr : &tests.front();
  };
  std::erase_if(groups, [&](const RunGroup& group) { return bleu(group) == nullptr; });
  if (groups.empty()) return std::nullopt;
  const auto gain = [&](const RunGroup& group) { return bleu(group)->test.second - bleu(group)->test.first; };
  const RunGroup& best = *std::max_element(groups.begin(), groups.end(), [&](const RunGroup& a, const RunGroup& b) {
    return gain(a) < gain(b);
  });
  const PairedTest& test = bleu(best)->test;
  const std::string numbers = fmt::format(
      "Temp-LoRA changes BLEU by {:+.2f}, from {:.2f} to {:.2f}; p = {:.4f} by approximate randomisation", gain(best),
      test.first, test.second, test.randomization_p);
  if (groups.size() == 1) return numbers + ".";
  return fmt::format("At {}, the best of {} settings, {}, which does not count that it was chosen among them.",
                     best.label, groups.size(), numbers);
}

}  // namespace

std::vector<std::string> report_answers(const std::vector<RunSummary>& runs) {
  std::vector<std::string> answers;
  for (const auto& answer : {perplexity_answer(runs), translation_answer(runs)})
    if (answer) answers.push_back(*answer);
  return answers;
}

}  // namespace templora
