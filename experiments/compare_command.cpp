// `templora compare`: what differs between two runs, and whether it is more than chance.

#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "report/compare.h"
#include "run/run_data.h"

namespace templora {
namespace {

RunData read_scores(const std::string& folder) {
  const fs::path record = fs::path(folder) / "run.json";
  if (!fs::exists(record))
    throw Error(Exit::bad_input,
                fmt::format("{}: run.json is missing, wanted a run's folder, as --out names it", folder));
  if (!fs::exists(fs::path(folder) / "books.jsonl"))
    throw Error(
        Exit::bad_input,
        fmt::format("{}: books.jsonl is missing, wanted a run that scores texts: perplexity or translation", folder));
  return read_run(folder);
}

struct CompareArguments {
  std::string first, second;
  bool json = false;
};

void compare(const CompareArguments& arguments) {
  const RunComparison comparison =
      compare_runs(read_scores(arguments.first), read_scores(arguments.second), arguments.first, arguments.second);
  print_out(arguments.json ? dump_json_pretty(to_json(comparison), "compare")
                           : comparison_text(comparison, arguments.first, arguments.second));
}

}  // namespace

void add_compare_command(CommandLine& line) {
  const auto arguments = std::make_shared<CompareArguments>();
  Command command =
      line.command("compare", "what differs between two runs, and whether their NLLs differ by more than chance");
  command.option("first", arguments->first, "run folder").required();
  command.option("second", arguments->second, "run folder that is compared with it").required();
  command.flag("--json", arguments->json, "print JSON");
  command.examples({"templora compare runs/a runs/b",
                    "templora compare runs/a runs/b --json > difference.json"});
  command.action([arguments] { compare(*arguments); });
}

}  // namespace templora
