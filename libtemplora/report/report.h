#pragma once

#include <string>
#include <vector>

#include "report/report_table.h"
#include "report/run_summary.h"

namespace templora {

/// What a sweep table shows, and how.
struct ReportOptions {
  std::string rows, columns;  ///< axes, dotted config keys or "W"; empty: the two with most values
  std::string value;          ///< base, lora, change, seconds, flops, …; empty: change where there is one
};

/// One picture.
struct Figure {
  std::string id;
  std::string title;
  std::string note;  ///< what is drawn, for below it
  std::string svg;
};

/// Everything that a report says, before a format is chosen.
struct Report {
  std::vector<RunSummary> runs;
  std::string subject;               ///< models, and what the runs have in common: "small-6m, L_X 256, rank 64"
  std::vector<std::string> answers;  ///< what came out, one sentence an experiment; empty where no run has numbers
  std::vector<ReportTable> tables;
  std::vector<Figure> figures;
  std::vector<std::string> remarks;  ///< what was left out and why, one sentence each
};

/// Makes the tables and figures of runs of any experiments, each in its own tables. Throws Error(usage) for axes or
/// values that these runs do not have, naming the nearest.
Report make_report(std::vector<RunSummary> runs, const ReportOptions& options);

/// What came out of the runs, one sentence for perplexities and one for translations: the best setting's change.
std::vector<std::string> report_answers(const std::vector<RunSummary>& runs);

// The tables, by what they are made of; each is empty where no run fits.
std::vector<ReportTable> perplexity_tables(const std::vector<RunSummary>& runs);
std::vector<ReportTable> translation_tables(const std::vector<RunSummary>& runs);
std::vector<ReportTable> other_tables(const std::vector<RunSummary>& runs);  ///< generations and pretraining
std::vector<ReportTable> cost_tables(const std::vector<RunSummary>& runs);
/// Which runs, on which machine, of which inputs; and how their configs differ.
std::vector<ReportTable> provenance_tables(const std::vector<RunSummary>& runs);

}  // namespace templora
