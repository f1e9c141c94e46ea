#include <fmt/format.h>

#include "report/figures.h"
#include "report/recall_table.h"
#include "report/report.h"
#include "report/run_groups.h"
#include "report/sweep_slices.h"

namespace templora {
namespace {

void append(std::vector<ReportTable> more, std::vector<ReportTable>& tables) {
  for (ReportTable& table : more) tables.push_back(std::move(table));
}

void add_remarks(Report& report) {
  std::size_t unfinished = 0, left_out = 0;
  for (const RunSummary& run : report.runs)
    if (!run.finished) {
      ++unfinished;
      left_out += run.measures.empty();
      if (!run.problem.empty())
        report.remarks.push_back(fmt::format("{} cannot be read yet: {}", run.name, run.problem));
    }
  if (unfinished > 0)
    report.remarks.push_back(fmt::format(
        "{} of {} runs not finished; {}.", unfinished, report.runs.size(),
        left_out == unfinished ? "left out of all numbers" : "what they have so far is part of the numbers"));
  std::map<std::string, std::size_t> experiments;
  for (const RunSummary& run : report.runs) ++experiments[run.experiment()];
  for (std::string& remark : repeat_remarks(report.runs)) report.remarks.push_back(std::move(remark));
  if (experiments.size() > 1)
    report.remarks.push_back("These runs are of different experiments, which stand in tables of their own.");
}

/// Tells what the sign is where a table has it.
void note_seeds(ReportTable& table) {
  for (const auto& row : table.rows)
    for (const Cell& cell : row)
      if (cell.seed_sd) {
        table.note += " Several seeds stand as their mean; behind ± is their standard deviation, where they differ.";
        return;
      }
}

}  // namespace

Report make_report(std::vector<RunSummary> runs, const ReportOptions& options) {
  Report report;
  report.runs = std::move(runs);
  add_remarks(report);
  std::vector<std::size_t> all;
  for (std::size_t i = 0; i < report.runs.size(); ++i) all.push_back(i);
  report.subject = common_settings(report.runs, all);
  report.answers = report_answers(report.runs);
  append(perplexity_tables(report.runs), report.tables);
  append(recall_tables(report.runs), report.tables);
  append(translation_tables(report.runs), report.tables);
  append(other_tables(report.runs), report.tables);
  const std::vector<SweepSlice> slices = sweep_slices(report.runs, options);
  for (std::size_t i = 0; i < slices.size(); ++i) report.tables.push_back(sweep_table(slices[i], report.runs, i + 1));
  append(cost_tables(report.runs), report.tables);
  for (ReportTable& table : report.tables) note_seeds(table);
  append(provenance_tables(report.runs), report.tables);
  report.figures = report_figures(report.runs, slices);
  return report;
}

}  // namespace templora
