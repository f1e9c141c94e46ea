#include "run/run_failure.h"

#include <fmt/format.h>

#include "core/json.h"
#include "run/run_folder.h"

namespace templora {

std::optional<RunFailure> read_failure_file(const fs::path& file) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return std::nullopt;
  const RunFailure damaged{int(Exit::bad_input), 0, fmt::format("{}: damaged", file.string())};
  try {
    const Json json = parse_json(read_file(file), file.string());
    const RunFailure failure{json.at("exit_code").get<int>(), json.at("signal").get<int>(),
                             json.at("line").get<std::string>()};
    return failure.exit_code >= 1 && failure.exit_code <= 127 ? failure : damaged;
  } catch (const Error& error) {
    return RunFailure{int(Exit::bad_input), 0, error.what()};
  } catch (const Json::exception&) {
    return damaged;
  }
}

void write_failure_file(const fs::path& file, const RunFailure& failure) {
  const Json json{{"exit_code", failure.exit_code}, {"signal", failure.signal}, {"line", failure.line}};
  write_file_atomically(file, dump_json_pretty(json, "failure"));
}

fs::path run_failure_file(const fs::path& run) { return run / "failed.json"; }

void note_failure(const fs::path& run, int exit_code, const std::string& line) {
  std::error_code ignored;
  if (!fs::exists(run / "run.json", ignored) || fs::exists(run / "summary.json", ignored) || is_run_locked(run)) return;
  try {
    write_failure_file(run_failure_file(run), {exit_code, 0, printable(line, 1000)});
  } catch (const Error&) {
  }
}

}  // namespace templora
