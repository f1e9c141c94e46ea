// `templora merge` and `templora average`: adapters that become something else.

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "commands.h"
#include "config/model_folder.h"
#include "core/error.h"
#include "core/file.h"
#include "core/log.h"
#include "lora/average.h"
#include "lora/merge.h"
#include "report/markdown.h"

namespace templora {
namespace {

struct MergeArguments {
  std::string model, adapter, out, dtype = "float32";
};

struct AverageArguments {
  std::vector<std::string> adapters;
  std::string out;
  std::int64_t rank = 0;
};

fs::path folder_of(const std::string& text) { return normal_path(fs::absolute(find_model(text, "."))); }

void merge(const MergeArguments& arguments) {
  const fs::path model = folder_of(arguments.model);
  require_model_folder(model, arguments.model);
  const Json made = merge_adapter(model, folder_of(arguments.adapter),
                                  arguments.dtype == "bfloat16" ? at::kBFloat16 : at::kFloat, arguments.out);
  log_line(fmt::format("wrote {}: {} with {} adapted modules, {}", printable(arguments.out, 1000),
                       made.at("base").at("name").get<std::string>(), made.at("adapter").at("modules").dump(),
                       arguments.dtype));
}

std::string share(double kept, double all) {
  return all > 0 ? fmt::format("{:.2f} %", 100 * kept / all) : kDash;  // a mean of nothing
}

// By projection, over the layers.
std::string kept_table(const std::vector<AveragedModule>& modules) {
  struct Row {
    double kept = 0, all = 0, least = 1;
    std::string worst;
  };
  std::map<std::string, Row> rows;
  Row total;
  for (const AveragedModule& module : modules) {
    Row& row = rows[module.module.substr(module.module.rfind('.') + 1)];
    row.kept += module.kept, row.all += module.all;
    total.kept += module.kept, total.all += module.all;
    if (const double kept = module.all > 0 ? module.kept / module.all : 1; row.worst.empty() || kept < row.least)
      row.least = kept, row.worst = module.module;
  }
  std::string table = "| projection | squared norm | kept | least kept of a module | module |\n"
                      "| --- | ---: | ---: | ---: | --- |\n";
  for (const auto& [name, row] : rows)
    table += fmt::format("| {} | {:.4g} | {} | {:.2f} % | {} |\n", escaped(name), row.all, share(row.kept, row.all),
                         100 * row.least, escaped(row.worst));
  return table + fmt::format("| all | {:.4g} | {} | | |\n", total.all, share(total.kept, total.all));
}

void average(const AverageArguments& arguments) {
  std::vector<fs::path> folders;
  for (const std::string& adapter : arguments.adapters) folders.push_back(folder_of(adapter));
  const std::optional<std::int64_t> rank = arguments.rank > 0 ? std::optional(arguments.rank) : std::nullopt;
  print_out(kept_table(average_adapters(folders, rank, arguments.out)));
  log_line(fmt::format("wrote {}: the mean of {} adapters", printable(arguments.out, 1000), folders.size()));
}

}  // namespace

void add_merge_command(CommandLine& line) {
  const auto arguments = std::make_shared<MergeArguments>();
  Command command = line.command("merge", "write a model folder with an adapter's update added to its weights");
  command.option("--model", arguments->model, "model folder, or org/name of one in the local Hugging Face cache")
      .required();
  command.option("--adapter", arguments->adapter, "PEFT adapter folder, or org/name as for --model").required();
  command.option("--out", arguments->out, "folder to write, which must not be there").required();
  command.option("--dtype", arguments->dtype, "of the weights; default float32. bfloat16 rounds small updates away")
      .one_of({"float32", "bfloat16"});
  command.examples({"templora merge --model models/small-6m --adapter runs/mine/adapters/0 --out models/small-6m-mine",
                    "templora merge --model org/name --adapter adapter --out merged --dtype bfloat16"});
  command.action([arguments] { merge(*arguments); });
}

void add_average_command(CommandLine& line) {
  const auto arguments = std::make_shared<AverageArguments>();
  Command command = line.command("average", "write the mean of adapters as one adapter, cut to a rank");
  command.option("ADAPTER", arguments->adapters, "PEFT adapter folders of the same modules of the same base")
      .required();
  command.option("--out", arguments->out, "PEFT folder to write, which must not be there").required();
  command.option("--rank", arguments->rank, "rank of what is written; default: the largest of theirs").between(1);
  command.examples({"templora average runs/a/adapters/0 runs/b/adapters/0 --out start",
                    "templora average runs/books/adapters/* --rank 16 --out start"});
  command.action([arguments] { average(*arguments); });
}

}  // namespace templora
