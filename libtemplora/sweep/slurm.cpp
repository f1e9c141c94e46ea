#include "sweep/slurm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <sstream>

#include "core/error.h"

namespace templora {
namespace {

/// A text as one word of a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Exit code and output of a command, both streams. 127 where it cannot be started.
std::pair<int, std::string> output_of(const std::vector<std::string>& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {127, ""};
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDOUT_FILENO);
    ::dup2(ends[1], STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    ::_exit(127);
  }
  ::close(ends[1]);
  std::string text;
  char piece[4096];
  for (ssize_t got = 0; child > 0 && ((got = ::read(ends[0], piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR));)
    if (got > 0) text.append(piece, std::size_t(got));
  ::close(ends[0]);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child) return {127, text};
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 127, text};
}

}  // namespace

std::string slurm_script(const SweepFile& sweep, const fs::path& program) {
  const SlurmSettings& slurm = sweep.slurm;
  const auto cells = std::int64_t(distinct_cells(sweep).size());
  const std::int64_t tasks = slurm.tasks > 0 ? std::min(slurm.tasks, cells) : cells;
  std::string script = "#!/bin/bash\n";
  const auto option = [&](const std::string& text) { script += "#SBATCH " + text + "\n"; };
  option("--job-name=templora");
  option(fmt::format("--array=0-{}{}", tasks - 1, slurm.throttle > 0 ? fmt::format("%{}", slurm.throttle) : ""));
  option("--output=slurm-%A_%a.log");
  option("--open-mode=append");
  option("--requeue");
  option(fmt::format("--signal=B:USR1@{}", slurm.signal_before_s));
  for (const auto& [name, value] : {std::pair{"partition", slurm.partition}, {"account", slurm.account}, {"time", slurm.time_limit},
                                    {"mem", slurm.memory}, {"gpus", slurm.gpus}})
    if (!value.empty()) option(fmt::format("--{}={}", name, value));
  if (slurm.cpus > 0) option(fmt::format("--cpus-per-task={}", slurm.cpus));
  for (const std::string& line : slurm.options) option(line);
  script += "\n# Written by templora sweep --slurm. Signals are passed on; a task that saved its state (75) goes back into the\n"
            "# queue, unless it is being cancelled.\n";
  for (const std::string& line : slurm.setup) script += line + "\n";
  script += fmt::format("{} sweep {} --no-wait --workers {} &\n", quoted(program.string()), quoted(sweep.path.string()), slurm.workers);
  script += R"(program=$!
trap 'kill -USR1 "$program" 2> /dev/null' USR1
trap 'kill -TERM "$program" 2> /dev/null' TERM
wait "$program"
code=$?
while kill -0 "$program" 2> /dev/null; do
  wait "$program"
  code=$?
done
if [ "$code" -gt 128 ]; then  # a signal ended the first wait as the program itself ended
  wait "$program"
  code=$?
fi
task=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID  # SLURM_JOB_ID of one of the tasks would mean the whole array
if [ "$code" -eq 75 ] && scontrol show job "$task" | grep -q 'JobState=RUNNING'; then
  scontrol requeue "$task"
fi
exit "$code"
)";
  return script;
}

std::string submit_to_slurm(const SweepFile& sweep, const fs::path& program) {
  const fs::path script = sweep.path / "slurm.sh";
  write_file_atomically(script, slurm_script(sweep, program));
  const auto [code, text] = output_of({"sbatch", "--parsable", "--chdir=" + sweep.path.string(), script.string()});
  const std::string line = text.substr(0, text.find('\n'));
  if (code == 127)
    throw Error(Exit::resources, fmt::format("sbatch: cannot be started; submit {} where Slurm is, or leave --slurm out", script.string()));
  if (code != 0) throw Error(Exit::resources, fmt::format("sbatch: {} ({})", printable(line, 300), script.string()));
  std::istringstream lines(text);  // sbatch may warn before it tells the number
  for (std::string answer; std::getline(lines, answer);) {
    answer = answer.substr(0, answer.find(';'));  // with several clusters, "number;cluster"
    if (!answer.empty() && std::all_of(answer.begin(), answer.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) return answer;
  }
  throw Error(Exit::resources, fmt::format("sbatch: got \"{}\", wanted the number of a job; look for it with squeue ({})", printable(line, 300), script.string()));
}

}  // namespace templora
