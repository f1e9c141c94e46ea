// `templora run`, `templora generate` and `templora schema`.

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>
#include <vector>

#include "commands.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "generation.h"
#include "model/llama_config.h"
#include "perplexity.h"
#include "pretrain.h"
#include "run/config.h"
#include "run/model_folder.h"
#include "translation.h"

namespace fs = std::filesystem;

namespace templora {
namespace {

struct RunArguments {
  std::string config;
  std::vector<std::string> sets;
  std::string out;
  bool resume = false;
};

// runs/<config name>/<time>-<hash>: a new one, or with `resume` the newest of this config.
fs::path default_folder(const RunArguments& arguments, const LoadedConfig& config) {
  const fs::path parent = fs::path("runs") / fs::path(arguments.config).stem();
  if (!arguments.resume) {
    const std::time_t now = std::time(nullptr);
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&now));
    return parent / fmt::format("{}-{}", text, config.hash);
  }
  std::vector<fs::path> candidates;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored))
    if (entry.path().filename().string().ends_with("-" + config.hash)) candidates.push_back(entry.path());
  if (candidates.empty())
    throw Error(Exit::usage, fmt::format("--resume: no run of this config in {}; name its folder with --out", parent.string()));
  return *std::max_element(candidates.begin(), candidates.end());
}

void run(const LoadedConfig& config, const RunArguments& arguments) {
  if (!arguments.resume && config.config.experiment != ExperimentKind::pretrain)
    require_model_folder(config.config.model.path, config.model_as_written);
  const fs::path folder = arguments.out.empty() ? default_folder(arguments, config) : fs::path(arguments.out);
  install_stop_handlers();
  log_line(fmt::format("run folder: {}", folder.string()));
  switch (config.config.experiment) {
    case ExperimentKind::perplexity: run_perplexity(config, folder, arguments.resume); break;
    case ExperimentKind::pretrain: run_pretrain(config, folder, arguments.resume); break;
    case ExperimentKind::generation: run_generation(config, folder, arguments.resume); break;
    case ExperimentKind::translation: run_translation(config, folder, arguments.resume); break;
  }
}

void add_shared_options(CLI::App& command, RunArguments& arguments, const std::string& set_help, const std::string& out_help) {
  command.add_option("--set", arguments.sets, set_help)->type_name("KEY=VALUE")->take_all()->expected(1);
  command.add_option("--out", arguments.out, out_help);
  command.add_flag("--resume", arguments.resume, "go on with a stopped run");
}

struct GenerateArguments {
  std::string model, prompt, prompt_file, from_snapshot;
  std::int64_t tokens = 0;
};

// A config without a file. The windows are as long as the model's positions allow, up to the paper's chunk.
void generate(const GenerateArguments& arguments, const RunArguments& run_arguments) {
  constexpr std::int64_t kMostChunkTokens = 1024;
  const fs::path folder = find_model(arguments.model, ".");
  require_model_folder(folder, arguments.model);
  const LlamaConfig model = read_llama_config(folder / "config.json");
  const std::int64_t chunk = std::clamp<std::int64_t>(model.max_positions / 2, 1, kMostChunkTokens);
  Json config{{"experiment", "generation"},
              {"model", {{"path", arguments.model}}},
              {"window", {{"chunk_tokens", chunk}}},
              {"train", {{"prefix_tokens", chunk}}},
              {"generate", Json::object()}};
  if (!arguments.prompt.empty()) config["generate"]["prompt"] = arguments.prompt;
  if (!arguments.prompt_file.empty()) config["generate"]["prompt_file"] = arguments.prompt_file;
  if (!arguments.from_snapshot.empty()) config["generate"]["from_snapshot"] = arguments.from_snapshot;
  if (arguments.tokens > 0) config["generate"]["tokens"] = arguments.tokens;
  run(parse_config(dump_json(config, "templora generate"), "templora generate", ".", parse_overrides(run_arguments.sets)), run_arguments);
}

}  // namespace

void add_run_command(CLI::App& app) {
  const auto arguments = std::make_shared<RunArguments>();
  CLI::App* command = app.add_subcommand("run", "run the experiment of a config file");
  command->add_option("config", arguments->config, "JSON config file")->required();
  add_shared_options(*command, *arguments, "key=value: overrides one key; the value is JSON, else text",
                     "run folder; default runs/<config name>/<time>-<hash>");
  command->callback([arguments] { run(load_config(arguments->config, parse_overrides(arguments->sets)), *arguments); });
}

void add_generate_command(CLI::App& app) {
  const auto arguments = std::make_shared<RunArguments>();
  const auto generation = std::make_shared<GenerateArguments>();
  CLI::App* command = app.add_subcommand("generate", "write a text with a model that learns what it writes");
  command->add_option("--model", generation->model, "model folder, or org/name of one in the local Hugging Face cache")
      ->required();
  command->add_option("--prompt", generation->prompt, "text to continue");
  command->add_option("--prompt-file", generation->prompt_file, "file with the text to continue");
  command->add_option("--from-snapshot", generation->from_snapshot, "snapshot folder of another generation to branch off from");
  command->add_option("--tokens", generation->tokens, "tokens to write; default: generate.tokens")->check(CLI::PositiveNumber);
  add_shared_options(*command, *arguments, "key=value: sets any config key", "run folder; default runs/generate/<time>-<hash>");
  command->callback([arguments, generation] {
    arguments->config = "generate";
    generate(*generation, *arguments);
  });
}

void add_schema_command(CLI::App& app) {
  const auto reference = std::make_shared<bool>(false);
  CLI::App* command = app.add_subcommand("schema", "print the JSON schema of config files");
  command->add_flag("--markdown", *reference, "print the reference page of all keys instead");
  command->callback([reference] { print_out(*reference ? config_reference() : dump_json_pretty(config_schema(), "schema")); });
}

}  // namespace templora
