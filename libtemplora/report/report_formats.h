#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "report/report.h"

namespace templora {

/// All tables as Markdown, each with the runs behind it.
std::string report_markdown(const Report& report);

/// Tidy data for R and pandas (RFC 4180, UTF-8, a header): one line for each run, book, segment and measure of the runs
/// whose numbers count, with each key that was swept or that differs in a column of its own; a run that is the cell of
/// several combinations of a sweep stands once for each. `book` and `segment` are "all" where a number is of all of
/// them. Numbers have full precision; what is unknown has no line.
std::string tidy_csv(const std::vector<RunSummary>& runs);

/// The tables' cells, one line a measured cell, with the table, the settings (one column each, empty where they do not
/// apply), measure, value, low, high, method, over, seed_sd, seeds, books, tokens, the paper's newest known value with
/// its version and all its versions, run folders and config hashes. Tables that list runs are left out.
std::string cells_csv(const Report& report);

/// Text of the tokens of a run in their order; empty where it is not known.
using TokenTexts = std::function<std::string(std::int32_t id)>;

/// One line a scored token of every run that kept its tokens' ids (score.keep_tokens): run, config hash, seed, book,
/// position, id, text, NLL by each scorer. Throws Error(bad_input) where no run has kept them, or a file is damaged.
std::string tokens_csv(const std::vector<RunSummary>& runs,
                       const std::function<TokenTexts(const RunSummary&)>& texts_of);

/// One line a chunk of every run that has chunks: run, config hash, book, position, NLLs, losses, gradient norms,
/// learning rate, seconds by phase. Pretraining runs have a line a step.
std::string chunks_csv(const std::vector<RunSummary>& runs);

/// The tables for a paper: booktabs, everything from outside escaped.
std::string report_latex(const Report& report);

/// Tables with full precision, runs and remarks.
Json report_json(const Report& report);

/// Text as a CSV field: quoted where it has to be, control characters as '?', and with an apostrophe before what a
/// spreadsheet would compute ("=1+2"; a number stays one).
std::string csv_field(const std::string& text);

/// Text as LaTeX prints it.
std::string latex_escaped(const std::string& text);

/// Whether a table lists runs, so that no line has to say which are behind it.
bool names_runs(const ReportTable& table);

/// "runs/a (config 0123abcd), …": what is behind a table.
std::string sources_line(const Report& report, const ReportTable& table);

}  // namespace templora
