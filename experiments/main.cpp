// The command line: parses arguments, starts what they ask for, turns errors into one line and an exit code.

#include <CLI/CLI.hpp>
#include <c10/util/Exception.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/json.h"
#include "core/log.h"
#include "core/stop.h"
#include "core/utf8.h"
#include "generation.h"
#include "model/llama_config.h"
#include "perplexity.h"
#include "pretrain.h"
#include "run/config.h"
#include "translation.h"

namespace fs = std::filesystem;

namespace {

using namespace templora;

struct RunArguments {
  std::string config;
  std::vector<std::string> sets;
  std::string out;
  bool resume = false;
};

std::vector<Override> parse_overrides(const std::vector<std::string>& sets) {
  std::vector<Override> overrides;
  for (const std::string& set : sets) {
    const std::size_t equals = set.find('=');
    if (equals == std::string::npos || equals == 0)
      throw Error(Exit::usage, fmt::format("--set: got \"{}\", wanted key=value, such as train.epochs=1", set));
    if (utf8_error(set) != kValidUtf8) throw Error(Exit::usage, fmt::format("--set: got \"{}\", wanted UTF-8", printable(set)));
    overrides.push_back({set.substr(0, equals), set.substr(equals + 1)});
  }
  return overrides;
}

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

void run(const RunArguments& arguments) {
  run(load_config(arguments.config, parse_overrides(arguments.sets)), arguments);
}

struct GenerateArguments {
  std::string model, prompt, prompt_file, from_snapshot;
  std::int64_t tokens = 0;
};

// A config without a file. The windows are as long as the model's positions allow, up to the paper's chunk.
void generate(const GenerateArguments& arguments, const RunArguments& run_arguments) {
  constexpr std::int64_t kMostChunkTokens = 1024;
  const LlamaConfig model = read_llama_config(fs::path(arguments.model) / "config.json");
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

// A closed standard stream's number would go to the next file opened, and log lines into that run's records.
void open_standard_streams() {
  int fd = 0;
  do fd = ::open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd > STDERR_FILENO) ::close(fd);
}

int report(Exit code, const std::string& message) {
  log_line(message);
  return int(code);
}

}  // namespace

int main(int argc, char** argv) {
  open_standard_streams();
  CLI::App app{"templora: Temp-LoRA (arXiv 2401.11504), a temporary LoRA trained on a text as it streams by"};
  app.set_version_flag("--version", "templora " TEMPLORA_VERSION);
  app.require_subcommand(1);

  RunArguments arguments;
  CLI::App* run_command = app.add_subcommand("run", "run the experiment of a config file");
  run_command->add_option("config", arguments.config, "JSON config file")->required();
  run_command->add_option("--set", arguments.sets, "key=value: overrides one key; the value is JSON, else text")
      ->type_name("KEY=VALUE")
      ->take_all()
      ->expected(1);
  run_command->add_option("--out", arguments.out, "run folder; default runs/<config name>/<time>-<hash>");
  run_command->add_flag("--resume", arguments.resume, "go on with a stopped run");

  GenerateArguments generation;
  CLI::App* generate_command = app.add_subcommand("generate", "write a text with a model that learns what it writes");
  generate_command->add_option("--model", generation.model, "Hugging Face model folder")->required();
  generate_command->add_option("--prompt", generation.prompt, "text to continue");
  generate_command->add_option("--prompt-file", generation.prompt_file, "file with the text to continue");
  generate_command->add_option("--from-snapshot", generation.from_snapshot, "snapshot folder of another generation to branch off from");
  generate_command->add_option("--tokens", generation.tokens, "tokens to write; default: generate.tokens")->check(CLI::PositiveNumber);
  generate_command->add_option("--set", arguments.sets, "key=value: sets any config key")->type_name("KEY=VALUE")->take_all()->expected(1);
  generate_command->add_option("--out", arguments.out, "run folder; default runs/generate/<time>-<hash>");
  generate_command->add_flag("--resume", arguments.resume, "go on with a stopped run");

  bool reference = false;
  CLI::App* schema_command = app.add_subcommand("schema", "print the JSON schema of config files");
  schema_command->add_flag("--markdown", reference, "print the reference page of all keys instead");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : int(Exit::usage);
  }
  try {
    if (run_command->parsed()) run(arguments);
    if (generate_command->parsed()) {
      arguments.config = "generate";
      generate(generation, arguments);
    }
    if (schema_command->parsed()) {
      fmt::print("{}", reference ? config_reference() : dump_json_pretty(config_schema(), "schema"));
      if (std::fflush(stdout) != 0) throw Error(Exit::resources, fmt::format("standard output: cannot be written: {}", errno_text(errno)));
    }
    return int(Exit::done);
  } catch (const Error& error) {
    return report(error.exit_code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(Exit::resources, "out of memory; use a smaller model, window or batch");
  } catch (const c10::Error& error) {
    // LibTorch reports exhausted memory by text only.
    const std::string what = error.what_without_backtrace();
    const std::string line = what.substr(0, what.find('\n'));
    const bool memory = what.find("memory") != std::string::npos && what.find("illegal memory access") == std::string::npos;
    return memory ? report(Exit::resources, "out of memory: " + line) : report(Exit(1), "LibTorch: " + line);
  } catch (const fs::filesystem_error& error) {
    return report(Exit::resources, fmt::format("{}: {}", printable(error.path1().string(), 1000), error.code().message()));
  } catch (const std::system_error& error) {
    return report(Exit::resources, error.what());  // standard output, most likely
  } catch (const std::exception& error) {
    return report(Exit(1), fmt::format("unexpected error: {}", error.what()));
  }
}
