// `templora list`.

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "browse/run_list.h"
#include "browse/run_sources.h"
#include "commands.h"
#include "core/file.h"
#include "core/log.h"

namespace templora {
namespace {

struct ListArguments {
  std::vector<std::string> folders, tags;
  std::string where, sort = "date";
  bool reverse = false, json = false;
};

void list(ListArguments arguments) {
  if (arguments.folders.empty()) arguments.folders = {"runs"};
  require_list_key(arguments.sort, "--sort");
  std::optional<Expression> condition;
  if (!arguments.where.empty()) condition = read_condition(arguments.where);
  std::vector<std::string> remarks;
  std::vector<ListedRun> runs = list_runs(find_runs(arguments.folders, remarks), remarks);
  const std::size_t all = runs.size();
  std::erase_if(runs, [&](const ListedRun& run) {
    const bool tagged = std::all_of(arguments.tags.begin(), arguments.tags.end(), [&](const std::string& tag) {
      return std::find(run.tags.begin(), run.tags.end(), tag) != run.tags.end();
    });
    return !tagged || (condition && !holds_for(*condition, run));
  });
  sort_runs(runs, arguments.sort, arguments.reverse);
  for (const std::string& remark : remarks) log_line(remark);
  if (arguments.json) return print_out(dump_json_pretty(list_json(runs), "list"));
  if (runs.empty()) return log_line(fmt::format("none of {} runs fits", all));
  print_out(list_text(runs));
}

}  // namespace

void add_list_command(CommandLine& line) {
  const auto arguments = std::make_shared<ListArguments>();
  Command command = line.command("list", "list runs: when, which model and settings, how far, what came out");
  command.option("folders", arguments->folders, "folders with runs and sweeps in them, at any depth; default: runs");
  command.option("--where", arguments->where,
                 "only runs for which this holds, such as 'train.learning_rate == 0.0005 && change < -10'");
  command.option("--tag", arguments->tags, "only runs with this tag; may be used again").value_name("TAG").repeatable();
  command.option("--sort", arguments->sort,
                 "date (the default), name, model, state, base, ppl, change, tokens, folder or a config key");
  command.flag("--reverse", arguments->reverse, "the last first");
  command.flag("--json", arguments->json, "print JSON");
  command.examples({"templora list", "templora list runs/delta_window --where 'lora.rank == 64' --sort change"});
  command.action([arguments] { list(*arguments); });
}

}  // namespace templora
