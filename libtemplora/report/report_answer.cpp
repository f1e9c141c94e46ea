// What a reader wants to know first, in a sentence.

#include <fmt/format.h>

#include <algorithm>

#include "report/report.h"
#include "report/run_groups.h"

namespace templora {
namespace {

std::string at(const RunGroup& group, std::size_t groups) {
  if (group.label.empty()) return "";
  return groups == 1 ? " at " + group.label : fmt::format(" at {}, the best of {} settings", group.label, groups);
}

std::string interval_of(const Cell& cell) {
  return cell.low && cell.high ? fmt::format(" [{:+.2f}, {:+.2f}]", *cell.low, *cell.high) : "";
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
  const auto change = [&](const RunGroup& group) {
    return mean(group, [](const SegmentRow& row) { return row.change_corpus_percent; });
  };
  const RunGroup& best = *std::min_element(groups.begin(), groups.end(), [&](const RunGroup& a, const RunGroup& b) {
    return change(a) < change(b);
  });
  const SegmentRow& row = runs[best.runs.front()].table->all.back();
  if (!row.base->corpus || !row.lora->corpus) return std::nullopt;
  std::string out = fmt::format(
      "Temp-LoRA changes perplexity by {:+.2f} %, from {:.3f} to {:.3f}{}.", change(best),
      mean(best, [](const SegmentRow& r) { return r.base->corpus; }),
      mean(best, [](const SegmentRow& r) { return r.lora->corpus; }), at(best, groups.size()));
  const std::size_t last = runs[best.runs.front()].table->all.size() - 1;
  const Cell of_books = book_cell(runs, best.runs, last, Arm::lora);
  if (!of_books.value || row.books < kFewBooks) return out;
  out.pop_back();
  return out + fmt::format("; mean over {} books {:+.2f} %{}.", row.books, *of_books.value,
                           of_books.low ? interval_of(of_books) + ", 95 % over books" : "");
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
  return fmt::format(
      "Temp-LoRA changes BLEU by {:+.2f}, from {:.2f} to {:.2f}{}; p = {:.4f} by approximate randomisation.",
      gain(best), test.first, test.second, at(best, groups.size()), test.randomization_p);
}

}  // namespace

std::vector<std::string> report_answers(const std::vector<RunSummary>& runs) {
  std::vector<std::string> answers;
  for (const auto& answer : {perplexity_answer(runs), translation_answer(runs)})
    if (answer) answers.push_back(*answer);
  return answers;
}

}  // namespace templora
