#include "sweep/claim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <random>
#include <sstream>
#include <vector>

#include "core/error.h"
#include "core/file_descriptor.h"
#include "core/log.h"

namespace templora {
namespace {

std::string first_word(const char* path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

/// Start of a process in ticks since boot; none where there is no such process, or it is only waiting to be reaped.
std::optional<std::int64_t> start_of(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  std::istringstream rest(line.substr(line.rfind(')') + 1));  // the name before may hold anything
  std::string state, field;
  rest >> state;
  if (state == "Z" || state == "X") return std::nullopt;
  for (int number = 4; number < 22; ++number) rest >> field;
  std::int64_t start = 0;
  rest >> start;
  return start;
}

std::string job_of_task() {
  const char *array = std::getenv("SLURM_ARRAY_JOB_ID"), *task = std::getenv("SLURM_ARRAY_TASK_ID");
  if (array && task) return fmt::format("{}_{}", array, task);
  const char* job = std::getenv("SLURM_JOB_ID");
  return job ? job : "";
}

Json to_json(const Claimant& who, std::int64_t beats) {
  return Json{{"id", who.id},           {"host", who.host}, {"boot", who.boot},         {"pid", std::int64_t(who.pid)},
              {"started", who.started}, {"job", who.job},   {"restarts", who.restarts}, {"beats", beats}};
}

struct Held {
  std::int64_t number = 0;  // 0: nobody
  bool readable = false;
  Claimant who;
  std::int64_t beats = -1;
};

/// The claim with the highest number.
Held highest(const fs::path& claims) {
  Held held;
  std::error_code gone;
  for (fs::directory_iterator entry(claims, gone), end; !gone && entry != end; entry.increment(gone)) {
    const std::string name = entry->path().filename().string();
    if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos) continue;
    held.number = std::max<std::int64_t>(held.number, std::stoll(name));
  }
  if (held.number == 0) return held;
  try {
    const fs::path file = claims / std::to_string(held.number);
    const Json json = parse_json(read_file(file), file.string());
    held.who.id = json.at("id").get<std::string>();
    held.who.host = json.at("host").get<std::string>();
    held.who.boot = json.at("boot").get<std::string>();
    held.who.pid = pid_t(json.at("pid").get<std::int64_t>());
    held.who.started = json.at("started").get<std::int64_t>();
    held.who.job = json.at("job").get<std::string>();
    held.who.restarts = json.at("restarts").get<std::int64_t>();
    held.beats = json.at("beats").get<std::int64_t>();
    held.readable = true;
  } catch (const std::exception&) {  // given back meanwhile, or damaged: it is watched like any other
  }
  return held;
}

bool known_here(const Claimant& who, const Claimant& me) { return !who.boot.empty() && who.boot == me.boot; }

[[noreturn]] void fail(const fs::path& path, int error_number) {
  throw Error(Exit::resources, fmt::format("{}: cannot be claimed: {}; can the folder be written?", path.string(),
                                           errno_text(error_number)));
}

/// Gives a complete file its number, which must be new. 0, or the errno.
int publish(const fs::path& temporary, const fs::path& file) {
  if (::link(temporary.c_str(), file.c_str()) == 0) return 0;
  const int failure = errno;
  struct stat status {};
  if (::stat(temporary.c_str(), &status) == 0 && status.st_nlink == 2) return 0;  // a network's answer that was lost
  if (failure != EPERM && failure != ENOTSUP && failure != ENOSYS && failure != EMLINK) return failure;
  // No links here: the number is taken first and filled then. A crash in between is waited out by watchers.
  const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  ::close(fd);
  return std::rename(temporary.c_str(), file.c_str()) == 0 ? 0 : errno;
}

}  // namespace

Claimant this_process() {
  Claimant me;
  std::random_device random;
  for (int i = 0; i < 4; ++i) me.id += fmt::format("{:08x}", random());
  char host[256] = "";
  ::gethostname(host, sizeof host - 1);
  me.host = host;
  std::error_code none;
  const std::string boot = first_word("/proc/sys/kernel/random/boot_id"),
                    space = fs::read_symlink("/proc/self/ns/pid", none).string();
  if (!boot.empty() && !space.empty()) me.boot = boot + " " + space;
  me.pid = ::getpid();
  me.started = start_of(me.pid).value_or(0);
  me.job = job_of_task();
  const char* restarts = std::getenv("SLURM_RESTART_COUNT");
  me.restarts = restarts ? std::atoll(restarts) : 0;
  return me;
}

ClaimLook ClaimWatch::look(const fs::path& claims, double now_s) {
  const Held held = highest(claims);
  if (held.number == 0) {
    seen_.erase(claims.string());
    return {};
  }
  if (held.readable) {
    if (known_here(held.who, me_)) {
      const auto start = start_of(held.who.pid);
      return {start && *start == held.who.started ? ClaimView::alive : ClaimView::dead, held.number};
    }
    // Slurm starts a task again only after its last start has ended.
    if (!me_.job.empty() && held.who.job == me_.job && held.who.restarts < me_.restarts)
      return {ClaimView::dead, held.number};
  }
  Seen& seen = seen_[claims.string()];
  const std::string owner = fmt::format("{} {}", held.number, held.who.id);
  if (seen.owner != owner) {
    seen = Seen{owner, held.beats, now_s, 0, false};
    return {ClaimView::unknown, held.number};
  }
  seen.still_s += std::clamp(now_s - seen.last_s, 0.0, kLongestLook_s);
  seen.last_s = now_s;
  if (held.beats != seen.beats) {
    seen.beats = held.beats;
    seen.still_s = 0;
    seen.moved = true;
  }
  if (seen.still_s >= patience_s_) return {ClaimView::dead, held.number};
  return {seen.moved ? ClaimView::alive : ClaimView::unknown, held.number};
}

std::optional<Claim> Claim::take(const fs::path& claims, const Claimant& me, const ClaimLook& seen) {
  if (seen.view != ClaimView::free && seen.view != ClaimView::dead) return std::nullopt;
  const std::int64_t number = seen.number + 1;
  constexpr int kAttempts = 5;  // the folder may be removed by an owner that gives it back
  int failure = 0;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    if (highest(claims).number != seen.number) return std::nullopt;
    std::error_code problem;
    if (fs::is_symlink(fs::symlink_status(claims, problem)))
      throw Error(Exit::bad_input, fmt::format("{}: got a symbolic link, wanted a folder; remove it", claims.string()));
    fs::create_directories(claims, problem);
    if (problem) fail(claims, problem.value());
    const fs::path file = claims / std::to_string(number), temporary = claims / ("new-" + me.id);
    try {
      write_file_atomically(temporary, dump_json(to_json(me, 0), "claim"));
    } catch (const Error&) {
      if (attempt + 1 == kAttempts) throw;
      continue;  // the folder was given back, and perhaps made anew by others, in between
    }
    failure = publish(temporary, file);
    ::unlink(temporary.c_str());
    if (failure == 0) {
      Claim claim(claims, number, me);
      if (highest(claims).number == number) return claim;
      return std::nullopt;  // numbers below one that is being given back
    }
    if (failure == EEXIST) return std::nullopt;
    if (failure != ENOENT) fail(file, failure);
  }
  return std::nullopt;
}

Claim::Claim(Claim&& other) noexcept
    : claims_(std::move(other.claims_)),
      number_(other.number_),
      me_(std::move(other.me_)),
      beats_(other.beats_),
      mine_(other.mine_) {
  other.mine_ = false;
}

// From the lowest number up, so that the highest that is left is this one until the last moment.
Claim::~Claim() {
  if (!mine_) return;
  std::vector<std::pair<std::int64_t, fs::path>> files;
  std::error_code ignored;
  for (fs::directory_iterator entry(claims_, ignored), end; !ignored && entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename().string();
    const bool number = !name.empty() && name.find_first_not_of("0123456789") == std::string::npos && name.size() <= 9;
    if (number) files.emplace_back(std::stoll(name), entry->path());  // anything else is somebody else's
  }
  std::sort(files.begin(), files.end());
  for (const auto& [number, file] : files)
    if (number <= number_) fs::remove(file, ignored);
  fs::remove(claims_, ignored);  // not where another claim is on its way
}

bool Claim::beat() {
  const Held held = highest(claims_);
  if (held.number != number_ || (held.readable && held.who.id != me_.id)) {
    mine_ = false;
    return false;
  }
  try {
    write_file_atomically(claims_ / std::to_string(number_), dump_json(to_json(me_, ++beats_), "claim"));
  } catch (const Error& error) {
    log_line(fmt::format("a claim's counter cannot be moved: {}", error.what()));
  }
  return true;
}

std::optional<ClaimOwner> claim_owner(const fs::path& claims) {
  const Held held = highest(claims);
  if (held.number == 0) return std::nullopt;
  ClaimOwner owner{held.who, held.beats, false};
  if (held.readable && known_here(held.who, this_process())) {
    const auto start = start_of(held.who.pid);
    owner.known_dead = !start || *start != held.who.started;
  }
  return owner;
}

}  // namespace templora
