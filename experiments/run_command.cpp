// `templora run`, `templora adapt`, `templora generate` and `templora schema`.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "commands.h"
#include "config/config.h"
#include "config/config_fields.h"
#include "config/config_inputs.h"
#include "config/model_folder.h"
#include "config/windows.h"
#include "core/cpus.h"
#include "core/error.h"
#include "core/file.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "cost_command.h"
#include "dry_run.h"
#include "generation.h"
#include "model/llama_config.h"
#include "perplexity.h"
#include "pretrain.h"
#include "program_end.h"
#include "run/run_failure.h"
#include "run_place.h"
#include "sweep/sweep_schema.h"
#include "translation.h"

namespace fs = std::filesystem;

namespace templora {
namespace {

struct RunArguments {
  std::string config;
  std::vector<std::string> sets;
  std::string out;
  bool resume = false;
  bool verbose = false;
  bool dry_run = false;
  std::string device;  // of a dry run
  bool json = false;   // of a dry run
  RunLabels labels;
};

// A run that goes on where run.threads is 0 takes the number that it began with, whatever the process may use today.
std::int64_t recorded_threads(const fs::path& folder) {
  if (!fs::exists(folder / "run.json")) return 0;
  const std::string where = (folder / "run.json").string();
  const Json record = parse_json(read_file(where), where);
  const Json::json_pointer threads("/identity/threads");
  if (!record.contains(threads) || !record.at(threads).is_number_integer()) return 0;
  const auto number = record.at(threads).get<std::int64_t>();
  return number >= 1 && number <= kMostThreads ? number : 0;
}

void run_in(const RunPlace& place, LoadedConfig config) {
  if (place.resume) require_labels(place.folder, place.labels);
  if (place.resume && config.config.run.threads == 0) config.config.run.threads = recorded_threads(place.folder);
  install_stop_handlers();
  try {
    switch (config.config.experiment) {
      case ExperimentKind::perplexity:
        run_perplexity(config, place);
        break;
      case ExperimentKind::pretrain:
        run_pretrain(config, place);
        break;
      case ExperimentKind::generation:
        run_generation(config, place);
        break;
      case ExperimentKind::translation:
        run_translation(config, place);
        break;
    }
  } catch (...) {
    const ProgramEnd end = describe_exception();
    // A command line that does not fit is no failure of the run that is there.
    if (end.exit != Exit::interrupted && end.exit != Exit::usage) note_failure(place.folder, int(end.exit), end.line);
    throw;
  }
}

void run_dry(const LoadedConfig& config, const RunArguments& arguments) {
  install_stop_handlers();
  if (arguments.resume)
    throw Error(Exit::usage, "--dry-run: got --resume too, wanted one of the two: a dry run looks at a new run");
  DryRun asked;
  asked.config = fs::path(arguments.config).filename().string();
  if (!arguments.out.empty()) asked.folder = fs::path(arguments.out);
  asked.default_folder =
      (default_parent(arguments.config) /
       fmt::format("<time>-{}-{}", folder_words(config, arguments.config, arguments.labels), config.hash))
          .string();
  asked.device = arguments.device;
  asked.json = arguments.json;
  dry_run(config, asked);
}

void run(const LoadedConfig& config, const RunArguments& arguments) {
  if (arguments.dry_run) return run_dry(config, arguments);
  if (!arguments.device.empty() || arguments.json)
    throw Error(Exit::usage, fmt::format("{}: is for --dry-run only; templora run uses what model.device names",
                                         arguments.json ? "--json" : "--device"));
  check_labels(arguments.labels);
  if (!arguments.resume) require_inputs(config);
  const auto run_at = [&](const fs::path& folder, bool resume) {
    run_in({folder, resume, arguments.labels, arguments.verbose}, config);
  };
  if (!arguments.out.empty()) return run_at(arguments.out, arguments.resume);
  const fs::path parent = default_parent(arguments.config);
  if (arguments.resume) return run_at(newest_folder(parent, config, arguments.labels), true);
  const ReservedFolder folder(parent, folder_words(config, arguments.config, arguments.labels), config.hash);
  run_at(folder.path(), false);
}

void add_shared_options(Command& command, RunArguments& arguments, const std::string& set_help,
                        const std::string& out_help) {
  command.option("--set", arguments.sets, set_help).value_name("KEY=VALUE").repeatable();
  command.option("--out", arguments.out, out_help);
  command.flag("--resume", arguments.resume, "go on with a stopped run");
  command.option("--name", arguments.labels.name, "what to call the run: in its record, its folder and templora list");
  command.option("--tag", arguments.labels.tags, "a word to find the run by; may be used again").repeatable();
}

struct GenerateArguments {
  std::string model, prompt, prompt_file, from_snapshot;
  std::int64_t tokens = 0;
};

// A config without a file. The windows are as long as the model's positions allow, up to the paper's chunk.
void generate(const GenerateArguments& arguments, const RunArguments& run_arguments) {
  const fs::path folder = find_model(arguments.model, ".");
  require_model_folder(folder, arguments.model);
  const LlamaConfig model = read_llama_config(folder / "config.json");
  const std::int64_t chunk = windows_for(model.max_positions).chunk_tokens;
  Json config{{"experiment", "generation"},
              {"model", {{"path", arguments.model}}},
              {"window", {{"chunk_tokens", chunk}}},
              {"train", {{"prefix_tokens", chunk}}},
              {"generate", Json::object()}};
  if (const auto names = model.layer(0).projections(); names != LoraConfig().targets)
    config["lora"] = {{"targets", names}};
  if (!arguments.prompt.empty()) config["generate"]["prompt"] = arguments.prompt;
  if (!arguments.prompt_file.empty()) config["generate"]["prompt_file"] = arguments.prompt_file;
  if (!arguments.from_snapshot.empty()) config["generate"]["from_snapshot"] = arguments.from_snapshot;
  if (arguments.tokens > 0) config["generate"]["tokens"] = arguments.tokens;
  run(parse_config(dump_json(config, "templora generate"), "templora generate", ".",
                   parse_overrides(run_arguments.sets)),
      run_arguments);
}

}  // namespace

namespace {

// What `templora adapt` sets before what --set says.
const std::vector<std::string> kAdapt = {"lora.reset_every_tokens=-1", "train.rate_decay=linear",
                                         "lora.save_final=true", "score.base=false"};

void add_config_command(Command command, const std::vector<std::string>& examples,
                        const std::function<void(const RunArguments&)>& action) {
  const auto arguments = std::make_shared<RunArguments>();
  command.option("config", arguments->config, "JSON config file").required();
  add_shared_options(command, *arguments, "key=value: overrides one key; the value is JSON, else text",
                     "run folder; default runs/<config name>/<time>-<words>-<hash>");
  command.flag("--verbose", arguments->verbose, "print all tables at the end, not the answer alone");
  command.flag("--dry-run", arguments->dry_run, "say what would be read, computed and written, and how long");
  command.option("--device", arguments->device, "with --dry-run: instead of a measurement here, the " +
                                                    device_option_help());
  command.flag("--json", arguments->json, "with --dry-run: print JSON");
  command.examples(examples);
  command.action([arguments, action] { action(*arguments); });
}

void adapt(const RunArguments& arguments) {
  // As it is written: of another experiment the keys below would be the mistake.
  const Config written = load_config(arguments.config, parse_overrides(arguments.sets)).config;
  if (written.experiment != ExperimentKind::perplexity)
    throw Error(Exit::usage, fmt::format("{}: experiment: got \"{}\", wanted \"perplexity\", whose loop adapts a base",
                                         shown_path(arguments.config), enum_name(written.experiment)));
  if (!written.lora.low_rank())
    throw Error(Exit::usage, fmt::format("{}: lora.update: got \"full\", wanted \"low_rank\": adapt writes a PEFT "
                                         "folder, which holds low-rank updates",
                                         shown_path(arguments.config)));
  std::vector<std::string> sets = kAdapt;
  sets.insert(sets.end(), arguments.sets.begin(), arguments.sets.end());
  run(load_config(arguments.config, parse_overrides(sets)), arguments);
}

}  // namespace

void add_run_command(CommandLine& line) {
  add_config_command(line.command("run", "run the experiment of a config file"),
                     {"templora run config.json --dry-run",
                      "templora run config.json --set train.learning_rate=1e-4 --out runs/mine"},
                     [](const RunArguments& arguments) {
                       run(load_config(arguments.config, parse_overrides(arguments.sets)), arguments);
                     });
}

void add_adapt_command(CommandLine& line) {
  add_config_command(
      line.command("adapt", fmt::format("run a perplexity config with one adapter that learns all its books; as run "
                                        "with --set {}",
                                        fmt::join(kAdapt, " --set "))),
      {"templora adapt config.json --out runs/novels",
       "templora adapt config.json --set train.rate_decay=sqrt --out runs/novels --resume"},
      adapt);
}

void add_generate_command(CommandLine& line) {
  const auto arguments = std::make_shared<RunArguments>();
  const auto generation = std::make_shared<GenerateArguments>();
  Command command = line.command("generate", "write a text with a model that learns what it writes");
  command.option("--model", generation->model, "model folder, or org/name of one in the local Hugging Face cache")
      .required();
  command.option("--prompt", generation->prompt, "text to continue");
  command.option("--prompt-file", generation->prompt_file, "file with the text to continue");
  command.option("--from-snapshot", generation->from_snapshot,
                 "snapshot folder of another generation to branch off from");
  command.option("--tokens", generation->tokens, "tokens to write; default: generate.tokens").between(1);
  add_shared_options(command, *arguments, "key=value: sets any config key",
                     "run folder; default runs/generate/<time>-<words>-<hash>");
  command.examples(
      {"templora generate --model models/small-6m --prompt \"It was late in the autumn when\" --tokens 1000",
       "templora generate --model models/small-6m --prompt-file start.txt --set generate.temperature=0.8"});
  command.action([arguments, generation] {
    arguments->config = "generate";
    generate(*generation, *arguments);
  });
}

void add_schema_command(CommandLine& line) {
  const auto reference = std::make_shared<bool>(false), sweep = std::make_shared<bool>(false);
  Command command = line.command("schema", "print the JSON schema of config files");
  command.flag("--sweep", *sweep, "print that of sweep files");
  command.flag("--markdown", *reference, "print the reference page of all config keys instead");
  command.examples({"templora schema > config.schema.json",
                    "templora schema --sweep > sweep.schema.json"});
  command.action([reference, sweep] {
    if (*reference && *sweep)
      throw Error(Exit::usage, "--markdown: got --sweep too, wanted one of the two; docs/sweeps.md has a sweep's keys");
    if (*reference) return print_out(config_reference());
    print_out(dump_json_pretty(*sweep ? sweep_schema() : config_schema(), "schema"));
  });
}

}  // namespace templora
