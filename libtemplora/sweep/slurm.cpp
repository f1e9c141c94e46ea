#include "sweep/slurm.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"

namespace templora {
namespace {

constexpr std::size_t kMostAnswer = 1 << 20;  // bytes that are kept of what a command says

/// A text as one word of a shell.
std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// What a command said and how it ended.
struct Answer {
  std::string out, err;
  int exit_code = 0;       ///< −1: a signal ended it
  int cannot_start = 0;    ///< errno
};

/// A pipe that closes itself.
struct Pipe {
  Pipe() {
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw Error(Exit::resources, fmt::format("cannot make a pipe: {}", errno_text(errno)));
  }
  ~Pipe() {
    close(0);
    close(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  void close(int end) {
    if (ends[end] >= 0) ::close(std::exchange(ends[end], -1));
  }
  int ends[2] = {-1, -1};
};

/// Runs a command to its end, both streams apart.
Answer answer_of(const std::vector<std::string>& command) {
  Answer answer;
  Pipe out, err, failure;
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  if (child < 0) throw Error(Exit::resources, fmt::format("cannot start a process: {}", errno_text(errno)));
  if (child == 0) {
    ::dup2(out.ends[1], STDOUT_FILENO);
    ::dup2(err.ends[1], STDERR_FILENO);
    ::execvp(arguments[0], arguments.data());
    const int number = errno;
    [[maybe_unused]] const ssize_t told = ::write(failure.ends[1], &number, sizeof number);
    ::_exit(127);
  }
  for (Pipe* pipe : {&out, &err, &failure}) pipe->close(1);
  pollfd watched[] = {{out.ends[0], POLLIN, 0}, {err.ends[0], POLLIN, 0}};
  char piece[4096];
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    if (::poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      break;
    }
    for (std::size_t i = 0; i < 2; ++i) {
      if (watched[i].fd < 0 || watched[i].revents == 0) continue;
      const ssize_t got = ::read(watched[i].fd, piece, sizeof piece);
      std::string& text = i == 0 ? answer.out : answer.err;
      if (got > 0 && text.size() < kMostAnswer) text.append(piece, std::size_t(got));
      if (got == 0 || (got < 0 && errno != EINTR)) watched[i].fd = -1;
    }
  }
  if (::read(failure.ends[0], &answer.cannot_start, sizeof answer.cannot_start) !=
      ssize_t(sizeof answer.cannot_start))
    answer.cannot_start = 0;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  answer.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return answer;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    while (!line.empty() && std::isspace(static_cast<unsigned char>(line.back()))) line.pop_back();
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

/// All that was said, in one line.
std::string whole(const std::string& text) {
  return printable(fmt::format("{}", fmt::join(lines_of(text), " / ")), 2000);
}

bool is_number(const std::string& text) {
  return !text.empty() && text.size() <= 18 && text.find_first_not_of("0123456789") == std::string::npos;
}

/// The job in "Submitted batch job 12", "… 12 on cluster nord".
std::optional<SlurmJob> job_in_sentence(const std::string& line) {
  constexpr std::string_view sentence = "Submitted batch job ", cluster = "on cluster ";
  const std::size_t at = line.find(sentence);
  if (at == std::string::npos) return std::nullopt;
  std::istringstream words(line.substr(at + sentence.size()));
  SlurmJob job;
  words >> job.number;
  if (!is_number(job.number)) return std::nullopt;
  if (const std::size_t on = line.find(cluster, at); on != std::string::npos)
    std::istringstream(line.substr(on + cluster.size())) >> job.cluster;
  if (job.cluster.ends_with('.')) job.cluster.pop_back();
  return job;
}

/// The job in what --parsable asks for: "12", or "12;nord" where there are several clusters.
std::optional<SlurmJob> job_in_fields(const std::string& line) {
  const std::size_t semicolon = line.find(';');
  const std::string number = line.substr(0, semicolon),
                    cluster = semicolon == std::string::npos ? "" : line.substr(semicolon + 1);
  if (!is_number(number) || cluster.find_first_of(" \t;") != std::string::npos) return std::nullopt;
  return SlurmJob{number, cluster};
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
  for (const auto& [name, value] : {std::pair{"partition", slurm.partition},
                                    {"account", slurm.account},
                                    {"time", slurm.time_limit},
                                    {"mem", slurm.memory},
                                    {"gpus", slurm.gpus}})
    if (!value.empty()) option(fmt::format("--{}={}", name, value));
  if (slurm.cpus > 0) option(fmt::format("--cpus-per-task={}", slurm.cpus));
  for (const std::string& line : slurm.options) option(line);
  script +=
      "\n# Written by templora sweep --slurm. Signals are passed on; a task that saved its state (75) goes back into "
      "the\n"
      "# queue, unless it is being cancelled.\n";
  for (const std::string& line : slurm.setup) script += line + "\n";
  script += fmt::format("{} sweep {} --no-wait --workers {} &\n", quoted(program.string()), quoted(sweep.path.string()),
                        slurm.workers);
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

std::optional<SlurmJob> job_in_answer(const std::string& answer) {
  const std::vector<std::string> lines = lines_of(answer);
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    if (const auto job = job_in_sentence(*line)) return job;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line)
    if (const auto job = job_in_fields(*line)) return job;
  return std::nullopt;
}

SlurmJob submit_to_slurm(const SweepFile& sweep, const fs::path& program) {
  const fs::path script = sweep.path / "slurm.sh";
  write_file_atomically(script, slurm_script(sweep, program));
  const Answer answer = answer_of({"sbatch", "--parsable", "--chdir=" + sweep.path.string(), script.string()});
  const std::string said = whole(answer.err + "\n" + answer.out), where = shown_path(script);
  if (answer.cannot_start != 0)
    throw Error(Exit::resources,
                fmt::format("sbatch: cannot be started: {}; submit {} where Slurm is, or leave --slurm out",
                            errno_text(answer.cannot_start), where));
  if (answer.exit_code != 0) {
    const bool array = said.find("Invalid job array specification") != std::string::npos;
    throw Error(
        Exit::resources,
        fmt::format(
            "{}{}{} ({})", said.starts_with("sbatch: ") ? "" : "sbatch: ",
            said.empty() ? fmt::format("ended with exit code {} and said nothing", answer.exit_code) : said,
            array ? "; if the array is longer than this Slurm takes (scontrol show config, MaxArraySize), "
                    "give slurm.tasks a "
                    "smaller number: each task works on cells until none is left"
                  : "",
            where));
  }
  std::optional<SlurmJob> job = job_in_answer(answer.out);
  if (!job) job = job_in_answer(answer.err);  // a wrapper may say it there
  if (!job)
    throw Error(Exit::resources,
                fmt::format("sbatch: got \"{}\", wanted the number of a job; look for it with squeue ({})",
                            said, where));
  for (const std::string& line : lines_of(answer.err + "\n" + answer.out)) {  // warnings, what the site has to say
    const std::optional<SlurmJob> named = job_in_answer(line);
    if (!named || named->number != job->number) log_line(line);
  }
  return *job;
}

}  // namespace templora
