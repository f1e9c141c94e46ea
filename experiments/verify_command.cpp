// `templora verify`: whether a run's folder says what happened.

#include <fmt/format.h>

#include <memory>

#include "commands.h"
#include "core/file.h"
#include "verify/verify.h"
#include "verify_inputs.h"

namespace templora {
namespace {

struct VerifyArguments {
  std::string folder;
  std::int64_t replay = 0;
  bool json = false, all = false;
};

void verify(const VerifyArguments& arguments) {
  Verification v = verify_run(arguments.folder);
  const std::string where = (fs::path(arguments.folder) / "run.json").string();
  const Json record = parse_json(read_file(where), where);
  std::optional<Config> config;
  try {
    config = read_recorded_config(record.at("config")).config;
  } catch (const Error&) {  // found already
  }
  if (config) verify_inputs(arguments.folder, *config, record, v);
  if (config && arguments.replay > 0) replay_chunks(arguments.folder, *config, record, arguments.replay, v);
  const std::string verdict = v.verdict(arguments.folder);
  print_out(arguments.json ? dump_json_pretty(v.json(), "verify") : v.text(arguments.all));
  if (!v.sound())
    throw Error(Exit::bad_input, fmt::format("{}; docs/verify.md says what each finding means", verdict));
  if (!arguments.json) print_out(verdict + "\n");
}

}  // namespace

void add_verify_command(CommandLine& line) {
  const auto arguments = std::make_shared<VerifyArguments>();
  Command command = line.command("verify", "check that a run's folder says what happened");
  command.option("folder", arguments->folder, "run folder").required();
  command.option("--replay", arguments->replay, "run N sampled chunks again and compare their NLLs")
      .between(0)
      .value_name("N");
  command.flag("--all", arguments->all, "print what is ok too");
  command.flag("--json", arguments->json, "print JSON");
  command.examples({"templora verify runs/mine",
                    "templora verify runs/mine --replay 3"});
  command.action([arguments] { verify(*arguments); });
}

}  // namespace templora
