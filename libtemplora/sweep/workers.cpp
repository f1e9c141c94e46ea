#include "sweep/workers.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <list>
#include <set>
#include <thread>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"
#include "core/stop.h"
#include "metrics/run_progress.h"
#include "run/run_folder.h"
#include "sweep/cell.h"
#include "sweep/claim.h"
#include "sweep/status.h"

namespace templora {
namespace {

using namespace std::chrono_literals;

constexpr int kMostDeaths = 3;   // of a cell's runs by signals, in one call
constexpr auto kPoll = 50ms;
constexpr double kLook_s = 1;    // between two looks at a cell that others work on
constexpr double kReport_s = 30;  // between two reports of how far the cells are

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// A pipe in the place of a file would block for ever.
void require_regular(const fs::path& file) {
  std::error_code ignored;
  const fs::file_status there = fs::status(file, ignored);
  if (fs::exists(there) && !fs::is_regular_file(there))
    throw Error(Exit::bad_input,
                fmt::format("{}: got something else, wanted a regular file; remove it", file.string()));
}

/// Starts the run of one cell; its output goes to the end of the cell's log.
pid_t start_run(const fs::path& program, const fs::path& cell) {
  require_regular(cell / "lock");
  const std::string config = config_file(cell).string(), out = cell.string(), path = program.string();
  require_regular(log_file(cell));
  const int log = ::open(log_file(cell).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
  if (log < 0)
    throw Error(Exit::resources,
                fmt::format("{}: cannot be opened for writing: {}", log_file(cell).string(), errno_text(errno)));
  const char* const arguments[] = {path.c_str(), "run", config.c_str(), "--resume", "--out", out.c_str(), nullptr};
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) {
    // A killed sweep's runs must not go on beside those of the next one.
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    for (const int number : {SIGPIPE, SIGXFSZ}) ::signal(number, SIG_DFL);
    ::execv(path.c_str(), const_cast<char* const*>(arguments));
    ::_exit(127);
  }
  const int failure = errno;
  ::close(log);
  if (child < 0) throw Error(Exit::resources, fmt::format("cannot start a process: {}", errno_text(failure)));
  return child;
}

struct Task {
  SweepCell cell;
  std::int64_t number = 0;  // the how many-th that was begun, with those that were done before; 0 until it is
  int deaths = 0;
  double looked_s = -1e9;
};

struct Running {
  Task task;
  Claim claim;
  pid_t child;
  double beat_s;
};

class Workers {
 public:
  Workers(const SweepFile& sweep, const WorkOptions& options)
      : sweep_(sweep), options_(options), watch_(this_process(), options.patience_s),
        guard_(parse_json(read_file(sweep.path / "inputs.json"), (sweep.path / "inputs.json").string()),
               (sweep.path / "inputs.json").string()) {
    for (const std::size_t place : largest_first(sweep)) {
      waiting_.push_back({sweep.cells[place], 0, 0, -1e9});
      begun_ += is_done(sweep.cells[place].folder) || read_failure(sweep.cells[place].folder);
    }
    cells_ = std::int64_t(waiting_.size());
  }

  WorkResult run() {
    try {
      while (!waiting_.empty() || !running_.empty()) {
        if (stop_requested()) stop();
        reap();
        const bool others_only = start_some();
        if (others_only && running_.empty() && !options_.wait) break;
        if (!waiting_.empty() || !running_.empty()) std::this_thread::sleep_for(kPoll);
        beat();
        report();
      }
    } catch (...) {
      end_children(SIGTERM);
      throw;
    }
    return result();
  }

 private:
  // Fills free places. → whether all that waits is others' work.
  bool start_some() {
    bool others_only = true;
    for (auto task = waiting_.begin(); task != waiting_.end();) {
      const fs::path& cell = task->cell.folder;
      const double now_s = seconds_now();
      const bool free_place = std::int64_t(running_.size()) < options_.workers;
      if (now_s - task->looked_s < kLook_s) {
        others_only = others_only && task->deaths == 0 && seen_alive_.contains(task->cell.key);
        ++task;
        continue;
      }
      if (is_done(cell) || read_failure(cell)) {
        tidy(cell, now_s);
        task = waiting_.erase(task);
        continue;
      }
      const ClaimLook seen = watch_.look(claims_folder(cell), now_s);
      if (seen.view == ClaimView::alive || seen.view == ClaimView::unknown) {
        task->looked_s = now_s;
        if (seen.view == ClaimView::alive) seen_alive_.insert(task->cell.key);
        others_only = others_only && seen.view == ClaimView::alive;
        ++task;
        continue;
      }
      seen_alive_.erase(task->cell.key);
      others_only = false;
      if (!free_place) return false;
      if (start(*task, seen)) {
        task = waiting_.erase(task);
      } else {
        task->looked_s = now_s;
        ++task;
      }
    }
    return others_only;
  }

  // An owner that was killed as its cell was done could not give it back, or not wholly.
  void tidy(const fs::path& cell, double now_s) {
    const fs::path claims = claims_folder(cell);
    if (!fs::exists(claims)) return;
    const ClaimLook seen = watch_.look(claims, now_s);
    if (seen.view != ClaimView::dead && seen.view != ClaimView::free) return;
    if (seen.view == ClaimView::dead) Claim::take(claims, watch_.me(), seen);  // and gives it back at once
    std::error_code ignored;
    if (is_done(cell))
      fs::remove_all(claims, ignored);  // also what was being written; nobody starts a cell that is done
    else
      fs::remove(claims, ignored);  // where it is empty: a failed cell may be tried again by others
  }

  bool start(Task& task, const ClaimLook& seen) {
    const fs::path& cell = task.cell.folder;
    std::optional<Claim> claim = Claim::take(claims_folder(cell), watch_.me(), seen);
    // Whoever had it before may have ended in between; and the run of a killed sweep may need a moment to be gone.
    if (!claim || is_done(cell) || read_failure(cell) || is_run_locked(cell)) return false;
    guard_.check();
    std::error_code failure;
    fs::create_directories(cell, failure);
    if (failure)
      throw Error(Exit::resources, fmt::format("{}: cannot create the folder: {}", cell.string(), failure.message()));
    const pid_t child = start_run(options_.program, cell);
    if (task.number == 0) task.number = ++begun_;
    log_line(fmt::format("{} {}", name_of(task), fs::exists(cell / "run.json") ? "goes on" : "starts"));
    running_.push_back({task, std::move(*claim), child, seconds_now()});
    return true;
  }

  // "cell 3/11 (lora.rank=4 seed=1, 0123456789abcdef0123)"; others that work on the sweep have numbers of their own.
  std::string name_of(const Task& task) const {
    return fmt::format("cell {}/{} ({}, {})", task.number, cells_, values_text(task.cell.values), task.cell.key);
  }

  void reap() {
    for (auto run = running_.begin(); run != running_.end();) {
      int status = 0;
      const pid_t ended = ::waitpid(run->child, &status, WNOHANG);
      if (ended == 0 || (ended < 0 && errno == EINTR)) {
        ++run;
        continue;
      }
      std::list<Running> over;  // gives the cell back at its end; judged once, even if that cannot be written down
      over.splice(over.end(), running_, run++);
      judge(over.front(), status);
      const fs::path cell = over.front().task.cell.folder;
      over.clear();
      if (is_done(cell)) tidy(cell, seconds_now());  // what an earlier owner left, which was killed as it wrote
    }
  }

  void judge(Running& run, int status) {
    Task& task = run.task;
    const fs::path& cell = task.cell.folder;
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1, killer = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    const auto say = [&](const std::string& what) {
      const std::string progress = progress_of(task);
      log_line(fmt::format("{} {}{}{}", name_of(task), what, progress.empty() ? "" : ", ", progress));
    };
    if (code == 0 && killer == 0 && is_done(cell)) {
      ++finished_;
      say("is done");
      return;
    }
    const bool ended_early = killer != 0 && stop_requested();  // by our own signal, before it could save anything
    if (ended_early ||
        (code == int(Exit::interrupted) && killer == 0)) {  // or somebody stopped just this run: it goes on
      say("was stopped");
      waiting_.push_back(task);
      return;
    }
    if (killer != 0 && ++task.deaths < kMostDeaths) {
      say(fmt::format("was killed by signal {} and goes on", killer));
      task.looked_s = -1e9;
      waiting_.push_front(task);
      return;
    }
    const bool empty = code == 0 && killer == 0;  // a failure all the same, so it is written as one
    RunFailure failure{empty ? 1 : code, killer, last_line(log_file(cell))};
    if (killer != 0)
      failure.line = fmt::format("killed by signal {}{}; last line: {}", killer,
                                 killer == SIGKILL ? " (out of memory?)" : "", failure.line);
    if (empty) failure.line = "ended well, but without summary.json";
    write_failure(cell, failure);
    say(fmt::format("failed ({}: {})",
                    killer != 0 ? fmt::format("signal {}", killer) : fmt::format("exit {}", failure.exit_code),
                    failure.line));
  }

  void beat() {
    const double now_s = seconds_now();
    for (auto run = running_.begin(); run != running_.end();) {
      if (now_s - run->beat_s < Claim::kBeat_s) {
        ++run;
        continue;
      }
      run->beat_s = now_s;
      if (run->claim.beat()) {
        ++run;
        continue;
      }
      log_line(fmt::format("{}: others took this cell, since nothing was heard of it; its run here is ended",
                           run->task.cell.key));
      ::kill(run->child, SIGKILL);
      ::waitpid(run->child, nullptr, 0);
      waiting_.push_back(run->task);
      run = running_.erase(run);
    }
  }

  // How far the running cells are.
  void report() {
    const double now_s = seconds_now();
    if (now_s - reported_s_ < kReport_s || running_.empty()) return;
    reported_s_ = now_s;
    const WorkResult so_far = result();
    const auto left = seconds_left(sweep_, options_.workers);
    log_line(fmt::format("{} of {} cells are done, {} running here{}", so_far.done,
                         so_far.done + so_far.failed + so_far.left, running_.size(),
                         left ? fmt::format(", about {} left", duration_text(*left)) : ""));
    for (const Running& run : running_)
      if (const std::string text = progress_of(run.task); !text.empty())
        log_line(fmt::format("{}: {}", name_of(run.task), text));
  }

  static std::string progress_of(const Task& task) {
    const auto progress = run_progress(task.cell.folder);
    return progress ? progress_text(*progress) : "";
  }

  void end_children(int signal_number) {
    for (Running& run : running_) ::kill(run.child, signal_number);
    while (!running_.empty()) {
      reap();
      beat();
      if (!running_.empty()) std::this_thread::sleep_for(kPoll);
    }
  }

  [[noreturn]] void stop() {
    log_line(
        fmt::format("{}: {} running cells are stopped, their states are saved", stop_signal_name(), running_.size()));
    end_children(SIGTERM);
    throw Error(Exit::interrupted, fmt::format("stopped by {}; the same command goes on", stop_signal_name()));
  }

  WorkResult result() const {
    WorkResult result;
    result.finished_here = finished_;
    for (const std::size_t place : distinct_cells(sweep_)) {
      const SweepCell& cell = sweep_.cells[place];
      if (is_done(cell.folder)) {
        ++result.done;
      } else if (const auto failure = read_failure(cell.folder)) {
        ++result.failed;
        if (result.exit_code == 0) result.exit_code = failure->exit_code;
      } else {
        ++result.left;
      }
    }
    return result;
  }

  const SweepFile& sweep_;
  WorkOptions options_;
  ClaimWatch watch_;
  InputGuard guard_;
  std::list<Task> waiting_;
  std::list<Running> running_;
  std::set<std::string> seen_alive_;
  std::int64_t finished_ = 0, begun_ = 0, cells_ = 0;
  double reported_s_ = seconds_now();
};

}  // namespace

WorkResult work_on(const SweepFile& sweep, const WorkOptions& options) { return Workers(sweep, options).run(); }

}  // namespace templora
