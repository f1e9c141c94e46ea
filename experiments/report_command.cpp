// `templora report`: tables, figures and event files of runs and sweeps.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "browse/run_sources.h"
#include "browse/site.h"
#include "commands.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "experiment/machine.h"
#include "pdf_figures.h"
#include "report/claims.h"
#include "report/factors.h"
#include "report/page.h"
#include "report/report.h"
#include "report/report_formats.h"
#include "report/svg.h"
#include "report/tensorboard.h"
#include "report/word_uses_csv.h"
#include "run/run_folder.h"
#include "text/text_stream.h"
#include "text/tokenizer.h"
#include "verify/verify.h"

namespace templora {
namespace {

struct ReportArguments {
  std::vector<std::string> folders, adapted;
  std::string format = "md", out;
  std::vector<std::int64_t> edges;
  bool json = false, unfinished = false, follow = false, factors = false, claims = false;
  ReportOptions options;
};

/// Writes into a folder what one file cannot hold.
std::vector<std::string> write_folder(const ReportArguments& arguments, const Report& report) {
  const fs::path out = arguments.out;
  std::vector<std::string> written;
  if (arguments.format == "pdf") {
    make_folder(out);
    return write_pdf_figures(report.figures, arguments.out);
  }
  if (arguments.format == "svg") {
    make_folder(out);
    for (const Figure& figure : report.figures) {
      written.push_back((out / (figure.id + ".svg")).string());
      write_file_atomically(written.back(), stand_alone(figure.svg));
    }
    return written;
  }
  for (std::size_t i = 0; i < report.runs.size(); ++i) {
    if (!report.runs[i].counted) continue;
    for (const EventFile& file : event_files(report.runs[i])) {
      const std::string run = report.runs[i].folder.lexically_normal().filename().string();
      const fs::path folder = out / fmt::format("{}-{}", i + 1, run.empty() ? "run" : run) / file.folder;
      make_folder(folder);
      // One name always: a second report replaces the first instead of adding its points to it.
      written.push_back((folder / "events.out.tfevents.0.templora").string());
      write_file_atomically(written.back(), file.content);
    }
  }
  return written;
}

/// Text of a run's tokens by its own tokenizer; of none where that is no longer there.
TokenTexts texts_of(const RunSummary& run) {
  try {
    const auto tokenizer =
        std::make_shared<Tokenizer>(open_tokenizer(read_recorded_config(run.record.at("config")).config.model));
    const auto stream = std::make_shared<TextStream>(*tokenizer, std::vector<std::int64_t>());
    return [tokenizer, stream](std::int32_t id) { return stream->add(id); };
  } catch (const Error& error) {
    log_line(fmt::format("{}: its tokens stand without their text: {}", run.name, error.what()));
    return [](std::int32_t) { return std::string(); };
  }
}

std::string text_of(const std::string& format, const Report& report) {
  if (format == "md") return report_markdown(report);
  if (format == "csv") return tidy_csv(report.runs);
  if (format == "cells") return cells_csv(report);
  if (format == "tokens") return tokens_csv(report.runs, texts_of);
  if (format == "uses") return uses_csv(report.runs, texts_of);
  if (format == "chunks") return chunks_csv(report.runs);
  if (format == "latex") return report_latex(report);
  return report_page(report);
}

/// The report as the runs are now.
Report report_now(const ReportArguments& arguments) {
  std::vector<std::string> remarks;
  const std::vector<RunSource> sources = sources_of(arguments.folders, remarks);
  Report made = make_report(read_report_runs(sources, arguments.edges, arguments.unfinished), arguments.options);
  made.remarks.insert(made.remarks.begin(), remarks.begin(), remarks.end());
  return made;
}

bool is_running(const Report& report) {
  return std::any_of(report.runs.begin(), report.runs.end(),
                     [](const RunSummary& run) { return !run.finished && is_run_locked(run.folder); });
}

/// Rewrites the page as long as a run goes on. A sweep has a moment between two cells, so one look is not enough.
void follow(ReportArguments arguments) {
  constexpr int kEvery_s = 5, kQuietLooks = 2;
  if (arguments.format != "html" || arguments.out.empty())
    throw Error(Exit::usage, "--follow: wanted a page to rewrite: --format html --out FILE");
  install_stop_handlers();
  arguments.unfinished = true;
  for (int quiet = 0;;) {
    const Report made = report_now(arguments);
    quiet = is_running(made) ? 0 : quiet + 1;
    const bool last = quiet >= kQuietLooks || stop_requested();
    write_file_atomically(arguments.out, last ? report_page(made) : refreshed(report_page(made), kEvery_s));
    if (last) break;
    for (int tenths = 0; tenths < 10 * kEvery_s && !stop_requested(); ++tenths)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  log_line(fmt::format("written: {}", arguments.out));
}

/// What stands in place of a report.
void write_instead(const ReportArguments& arguments, const std::string& markdown, const Json& json) {
  const std::string text = arguments.json ? dump_json_pretty(json, "report") : markdown;
  if (arguments.out.empty()) return print_out(text);
  write_file_atomically(arguments.out, text);
  log_line(fmt::format("written: {}", arguments.out));
}

std::vector<RunSource> sources_for(const ReportArguments& arguments) {
  std::vector<std::string> remarks;
  const std::vector<RunSource> sources = sources_of(arguments.folders, remarks);
  for (const std::string& remark : remarks) log_line(remark);
  return sources;
}

void report_factors(const ReportArguments& arguments) {
  std::vector<fs::path> folders;
  for (const RunSource& source : sources_for(arguments)) folders.push_back(source.folder);
  const FactorTable table = factor_table(folders);
  write_instead(arguments, factors_markdown(table), to_json(table));
}

void report_claims(const ReportArguments& arguments) {
  ReportArguments adapted = arguments;
  adapted.folders = arguments.adapted;
  const auto runs_of = [](const ReportArguments& of) {
    return of.folders.empty() ? std::vector<RunSummary>() : read_report_runs(sources_for(of), of.edges, false);
  };
  const ClaimTable table = claim_table(runs_of(arguments), runs_of(adapted), arguments.edges);
  write_instead(arguments, claims_markdown(table), to_json(table));
}

void report(const ReportArguments& arguments) {
  const bool folder = arguments.format == "tensorboard" || arguments.format == "svg" || arguments.format == "pdf";
  if (folder && arguments.out.empty())
    throw Error(Exit::usage, fmt::format("--format {}: wanted a folder too: --out DIR", arguments.format));
  for (std::size_t i = 0; i < arguments.edges.size(); ++i)
    if (arguments.edges[0] != 0 || (i > 0 && arguments.edges[i] <= arguments.edges[i - 1]))
      throw Error(Exit::usage, "--edges: wanted token positions that begin with 0 and grow, such as 0,100000,500000");
  if (arguments.factors || arguments.claims) {
    if (arguments.factors && arguments.claims) throw Error(Exit::usage, "--factors, --claims: wanted one of them");
    if (arguments.unfinished || arguments.follow || arguments.format != "md")
      throw Error(Exit::usage, "--unfinished, --follow, --format: have no part beside --factors and --claims");
    return arguments.factors ? report_factors(arguments) : report_claims(arguments);
  }
  if (!arguments.adapted.empty()) throw Error(Exit::usage, "--adapted: wanted --claims beside it");
  if (arguments.follow) return follow(arguments);
  const Report made = report_now(arguments);

  Json answer = report_json(made);
  if (folder) {
    const std::vector<std::string> written = write_folder(arguments, made);
    answer["written"] = written;
    log_line(fmt::format("{} files under {}", written.size(), arguments.out));
  } else if (!arguments.out.empty()) {
    write_file_atomically(arguments.out, text_of(arguments.format, made));
    answer["written"] = {arguments.out};
    log_line(fmt::format("written: {}", arguments.out));
  } else if (!arguments.json) {
    print_out(text_of(arguments.format, made));
  }
  if (arguments.json) print_out(dump_json_pretty(answer, "report"));
}

}  // namespace

void add_report_command(CommandLine& line) {
  const auto arguments = std::make_shared<ReportArguments>();
  Command command = line.command("report", "tables and figures of runs and sweeps");
  command.option("runs", arguments->folders, "run folders and sweep folders").required();
  command
      .option("--format", arguments->format,
              "md, csv (tidy: a line for each run, book, segment and measure), cells (CSV, a line for each number of "
              "the tables), chunks (CSV, a line a chunk), tokens (CSV, a line a token; wants score.keep_tokens), uses "
              "(CSV, NLL of first and later uses of names and other words; the same), "
              "latex, html, svg, pdf (the figures, for LaTeX) or tensorboard (these three want --out DIR)")
      .one_of({"md", "csv", "cells", "chunks", "tokens", "uses", "latex", "html", "svg", "pdf", "tensorboard"});
  command.option("--out", arguments->out,
                 "file to write (a folder for svg, pdf and tensorboard); default: standard output");
  command.option("--rows", arguments->options.rows,
                 "sweep tables: config key of the rows; default: the axis with most values");
  command.option("--columns", arguments->options.columns, "sweep tables: config key of the columns");
  command.option("--value", arguments->options.value,
                 "sweep tables: base, lora, change, seconds, flops, base_bleu, ...; default: change");
  command.option("--edges", arguments->edges, "segment edges in tokens for all runs; default: the first run's")
      .separated_by(',');
  command.flag("--unfinished", arguments->unfinished, "count what unfinished runs have so far");
  command.flag("--follow", arguments->follow,
               "rewrite the page (--format html --out FILE) until no run is under way, with what they have so far");
  command.flag("--factors", arguments->factors,
               "instead: window, adapter and base model taken apart on the tokens that all runs scored");
  command.flag("--claims", arguments->claims, "instead: tests of what docs/memory.md says may be claimed");
  command.option("--adapted", arguments->adapted, "with --claims: runs of the adapted base").repeatable();
  command.flag("--json", arguments->json, "print the tables as JSON, with --out also what was written");
  command.examples({"templora report runs/delta_window --format html --out delta_window.html",
                    "templora report runs/a runs/b --format csv > runs.csv"});
  command.action([arguments] { report(*arguments); });
}

}  // namespace templora
