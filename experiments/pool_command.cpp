// `templora pool`: one table over the books of several runs.

#include <fmt/format.h>

#include <memory>

#include "browse/run_sources.h"
#include "commands.h"
#include "core/log.h"
#include "metrics/perplexity.h"
#include "report/perplexity_plot.h"
#include "report/perplexity_table.h"
#include "report/pool.h"
#include "run/run_data.h"

namespace templora {
namespace {

struct PoolArguments {
  std::vector<std::string> folders;
  std::string out;
  bool json = false;
};

/// `edges` become those that the first folder asks for, if it is a sweep's.
std::vector<NamedRun> read_runs(const std::vector<std::string>& folders, std::vector<std::int64_t>& edges) {
  std::vector<std::string> not_started;
  std::vector<NamedRun> runs;
  for (const RunSource& source : sources_of(folders, not_started)) {
    if (!fs::exists(source.folder / "summary.json"))
      throw Error(
          Exit::bad_input,
          fmt::format("{}: no summary.json in it, wanted finished runs; a run goes on with --resume", source.name));
    if (runs.empty()) edges = source.edges;
    runs.push_back({source.name, read_run(source.folder)});
  }
  if (!not_started.empty())
    throw Error(Exit::bad_input, not_started.front() + " Wanted a sweep whose cells are all done.");
  return runs;
}

void pool(const PoolArguments& arguments) {
  const fs::path out = arguments.out;
  if (!out.empty() && fs::exists(out / "run.json"))
    throw Error(Exit::usage, fmt::format("--out {}: a run's folder, wanted another one", arguments.out));
  std::vector<std::int64_t> edges;
  std::vector<NamedRun> runs = read_runs(arguments.folders, edges);
  Json names = Json::array();
  for (const NamedRun& run : runs) names.push_back(run.name);
  const RunData all = pooled(std::move(runs), edges);
  const PerplexityTable table = perplexity_table(all);
  const std::string markdown = perplexity_markdown(table, all.run);
  Json summary = to_json(table);
  summary["pooled"] = names;
  if (!out.empty()) {
    make_folder(out);
    write_file_atomically(out / "perplexity.svg", perplexity_svg(all));
    write_file_atomically(out / "summary.json", dump_json_pretty(summary, "summary.json"));
    write_file_atomically(out / "table.md", markdown);
    log_line(fmt::format("written: {}", (out / "table.md").string()));
  }
  print_out(arguments.json ? dump_json_pretty(summary, "pool") : markdown);
}

}  // namespace

void add_pool_command(CommandLine& line) {
  const auto arguments = std::make_shared<PoolArguments>();
  Command command =
      line.command("pool", "one table over the books of several perplexity runs that differ in data.books only");
  command.option("runs", arguments->folders, "run folders and sweep folders").required();
  command.option("--out", arguments->out,
                 "folder for table.md, summary.json and perplexity.svg; default: only prints the table");
  command.flag("--json", arguments->json, "print summary.json instead of the table");
  command.examples({"templora pool runs/first-books runs/other-books",
                    "templora pool runs/pg19_small --out runs/pg19-small"});
  command.action([arguments] { pool(*arguments); });
}

}  // namespace templora
