#include "run/run_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <thread>

#include "core/check.h"
#include "core/file_descriptor.h"
#include "core/hash.h"
#include "core/log.h"
#include "run/run_failure.h"
#include "run/run_state.h"

namespace templora {

static_assert(std::endian::native == std::endian::little, "NLL files are little-endian");

namespace {

constexpr const char* kLockName = "lock";
constexpr const char* kBooksName = "books.jsonl";
constexpr const char* kChunksName = "chunks.jsonl";
constexpr std::size_t kMostOpenFiles = 16;  // a run may have thousands of books

std::string nll_name(std::int64_t book_index, Arm arm) {
  return fmt::format("nll/{}-{}.f32", book_index, arm_name(arm));
}

/// Whether the folder holds nothing of a run: it is empty, or was left by a crash before run.json was there.
bool holds_no_run(const fs::path& folder) {
  return std::all_of(fs::directory_iterator(folder), fs::directory_iterator(), [](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    return name == kLockName || name.rfind("run.json.tmp-", 0) == 0;
  });
}

/// Names every key on which two identities differ.
void require_same_identity(const Json& here, const Json& there, const fs::path& folder) {
  std::vector<std::string> differences;
  const auto shown = [](const Json& identity, const std::string& key) {
    const auto found = identity.find(key);
    return found == identity.end() ? std::string("nothing") : dump_json(*found, "identity");
  };
  const auto compare = [&](const std::string& key) {
    const std::string now = shown(here, key), then = shown(there, key);
    if (now != then) differences.push_back(fmt::format("{} is {} now and was {}", key, now, then));
  };
  for (const auto& item : there.items()) compare(item.key());
  for (const auto& item : here.items())
    if (!there.contains(item.key()) && item.key() != "row_kernels") compare(item.key());  // which older records lack
  if (!differences.empty())
    throw Error(Exit::usage,
                fmt::format("{}: cannot be resumed, {}; resume under the same conditions or start a new run in another "
                            "folder", folder.string(), fmt::join(differences, ", ")));
}

const Json& identity_of(const Json& run, const std::string& where, Exit code) {
  const auto found = run.is_object() ? run.find("identity") : run.end();
  if (found == run.end() || !found->is_object())
    throw Error(code, fmt::format("{}: identity: missing, wanted an object of what makes two runs the same", where));
  return *found;
}

void create_folder(const fs::path& path) {
  std::error_code failure;
  fs::create_directories(path, failure);
  if (failure)
    throw Error(Exit::resources, fmt::format("{}: cannot create the folder: {}", path.string(), failure.message()));
}

/// What a run that goes on finds: the folders that it writes to, and nothing half-written.
void tidy(const fs::path& run) {
  create_folder(run / "nll");
  create_folder(run / "state");
  fs::remove(run_failure_file(run));  // it is tried again
  for (const char* file : {"run.json.tmp-*", "perplexity.svg.tmp-*", "table.md.tmp-*", "cost.md.tmp-*",
                           "text.txt.tmp-*", "comet.jsonl.tmp-*", "summary.json.tmp-*", "failed.json.tmp-*"})
    remove_leftovers(run, file);
}

/// Hours of a run are not lost for a number that was computed from its records: null takes the place of what
/// JSON cannot hold. The numbers that were measured are in the records, which have none.
void drop_infinities(Json& value, const std::string& path) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    log_line(fmt::format("summary.json: {}: got {}, which stands as null", path, value.get<double>()));
    value = nullptr;
  }
  std::size_t index = 0;
  if (value.is_structured())
    for (auto item = value.begin(); item != value.end(); ++item, ++index)
      drop_infinities(*item, fmt::format("{}/{}", path, value.is_object() ? item.key() : std::to_string(index)));
}

}  // namespace

/// Held while a process writes to the folder; the kernel drops it however the process ends.
struct RunFolder::Lock {
  explicit Lock(const fs::path& folder) {
    const fs::path path = folder / kLockName;
    fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
      throw Error(Exit::resources, fmt::format("{}: cannot be opened: {}", path.string(), std::strerror(errno)));
    for (int tries = 0; ::flock(fd, LOCK_EX | LOCK_NB) != 0;) {
      if (errno == EINTR) continue;
      const int failure = errno;
      if (failure == EWOULDBLOCK && ++tries < 20) {  // who only looks has it for an instant (is_run_locked)
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        continue;
      }
      if (failure == EWOULDBLOCK) {
        ::close(fd);
        throw Error(Exit::usage, fmt::format("{}: another process writes to this run folder; wait for it or choose "
                                             "another folder", folder.string()));
      }
      log_line(fmt::format("{}: cannot be locked ({}); start no second process in this folder", path.string(),
                           std::strerror(failure)));
      break;
    }
  }
  ~Lock() { ::close(fd); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  int fd = -1;
};

bool is_run_locked(const fs::path& run) {
  const int fd = ::open((run / kLockName).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return false;
  const bool locked = ::flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;  // shared: others may look too
  ::close(fd);
  return locked;
}

RunFolder::RunFolder(fs::path path) : path_(std::move(path)) {}

void RunFolder::require_new(const fs::path& path) {
  if (fs::exists(path) && !fs::is_directory(path))
    throw Error(Exit::usage, fmt::format("{}: got a file, wanted a new folder; choose another", path.string()));
  if (fs::exists(path) && !holds_no_run(path))
    throw Error(Exit::usage, fmt::format("{}: the folder is not empty, wanted a new one; resume the run in it or "
                                         "choose another folder", path.string()));
}

RunFolder RunFolder::create(const fs::path& path, const Json& run_record) {
  identity_of(run_record, "run.json", Exit::usage);
  Json record = run_record;
  // config_hash knows paths as they were written; this one finds a setting that was changed later.
  if (const auto config = record.find("config"); config != record.end())
    record["effective_hash"] = hash_hex(config->dump());
  const std::string text = dump_json_pretty(record, "run.json");
  require_new(path);
  create_folder(path);
  RunFolder folder(path);
  folder.lock_ = std::make_shared<Lock>(path);
  require_new(path);  // again, now that no other process can be starting here
  remove_leftovers(path, "run.json.tmp-*");
  write_file_atomically(path / "run.json", text);
  create_folder(path / "nll");
  create_folder(path / "state");
  return folder;
}

RunFolder RunFolder::resume(const fs::path& path, const Json& run_record, const std::string& other_config_hash) {
  const Json& identity = identity_of(run_record, "run.json", Exit::usage);
  if (!fs::is_directory(path))
    throw Error(Exit::usage, fmt::format("{}: no such folder, wanted the folder of a run to resume", path.string()));
  RunFolder folder(path);
  if (!fs::exists(path / "run.json")) {
    if (!holds_no_run(path))
      throw Error(Exit::usage,
                  fmt::format("{}: run.json is missing, wanted the folder of a run to resume", path.string()));
    return create(path, run_record);
  }
  folder.lock_ = std::make_shared<Lock>(path);
  const std::string where = (path / "run.json").string();
  const Json there = parse_json(read_file(where), where);
  Json then = identity_of(there, where, Exit::bad_input);
  if (const auto hash = then.find("config_hash"); hash != then.end() && *hash == other_config_hash)
    *hash = identity.value("config_hash", other_config_hash);
  require_same_identity(identity, then, path);
  folder.finished_ = fs::exists(path / "summary.json");
  if (folder.finished_) return folder;

  tidy(path);
  folder.go_back_to(folder.newest_state());
  return folder;
}

void RunFolder::reopen() {
  TEMPLORA_CHECK(finished_, "only a finished run is opened again");
  tidy(path_);
  std::optional<StateFile> state = newest_state();
  // resume() would start over here; a result that somebody may still want is not given up for that.
  if (!state)
    throw Error(Exit::bad_input,
                fmt::format("{}: got no saved state, wanted that of the finished run to go on from; start another run",
                            (path_ / "state").string()));
  for (const char* file : {"summary.json", "table.md", "cost.md"}) fs::remove(path_ / file);
  // The records are cut next: after a power cut no summary may stand beside shorter ones.
  if (const int failure = sync_folder(path_); failure != 0)
    throw Error(Exit::resources, fmt::format("{}: cannot be forced to disk: {}", path_.string(), errno_text(failure)));
  finished_ = false;
  go_back_to(std::move(state));
}

std::optional<StateFile> RunFolder::newest_state() const {
  const fs::path states = path_ / "state";
  const std::vector<std::int64_t> numbers = state_numbers(states);
  std::optional<StateFile> found;
  for (auto number = numbers.rbegin(); number != numbers.rend() && !found; ++number) {
    std::string why;
    found = read_state(path_, *number, why);
    if (!found) log_line(fmt::format("{}: state {} is not used: {}", path_.string(), *number, why));
  }
  if (!found && !numbers.empty())
    throw Error(Exit::bad_input,
                fmt::format("{}: none of the saved states can be used, and nothing was changed; delete this folder to "
                            "start over, or start another run",
                            states.string()));
  return found;
}

// Without a state, to the beginning.
void RunFolder::go_back_to(std::optional<StateFile> state) {
  next_state_ = state ? state->number + 1 : 0;
  // Newer states go first: what they say about the records stops being true when these are cut.
  remove_states(path_ / "state", [&](std::int64_t number) { return !state || number > state->number; });
  cut_records(state ? state->sizes : std::map<std::string, std::uint64_t>{});
  if (state) {
    saved_state_ = std::move(state->state);
    saved_tensors_ = state->tensors;
  }
}

void RunFolder::cut_records(const std::map<std::string, std::uint64_t>& sizes) {
  std::vector<std::string> present;
  for (const fs::directory_entry& entry : fs::directory_iterator(path_))
    if (entry.path().extension() == ".jsonl") present.push_back(entry.path().filename().string());
  for (const fs::directory_entry& entry : fs::directory_iterator(path_ / "nll"))
    present.push_back("nll/" + entry.path().filename().string());
  for (const std::string& name : present) {
    const auto size = sizes.find(name);
    if (size == sizes.end())
      fs::remove(path_ / name);
    else
      AppendFile(path_ / name, size->second).sync();
  }
  sizes_ = sizes;
}

fs::path RunFolder::saved_tensors() const { return saved_tensors_; }

AppendFile& RunFolder::file(const std::string& relative) {
  const auto found = open_.find(relative);
  if (found != open_.end()) return found->second;
  if (open_.size() >= kMostOpenFiles) {
    for (auto& [name, file] : open_) file.sync();
    open_.clear();
  }
  std::uint64_t& size = sizes_[relative];
  return open_.emplace(relative, AppendFile(path_ / relative, size)).first->second;
}

void RunFolder::append_line(const std::string& name, const Json& record) {
  AppendFile& lines = file(name);
  lines.append(dump_json(record, name) + "\n");
  sizes_[name] = lines.size();
}

void RunFolder::append_book(const BookRecord& record) { append_line(kBooksName, to_json(record)); }

void RunFolder::append_chunk(const ChunkRecord& record) { append_line(kChunksName, to_json(record)); }

void RunFolder::append_nll(std::int64_t book_index, Arm arm, std::span<const float> nll) {
  const std::string name = nll_name(book_index, arm);
  AppendFile& values = file(name);
  values.append(nll);
  sizes_[name] = values.size();
}

fs::path RunFolder::next_state_tensors() { return path_ / "state" / state_tensors_name(next_state_); }

void RunFolder::commit_state(Json state, const fs::path& tensors) {
  for (auto& [name, file] : open_) file.sync();
  StateFile saved;
  saved.number = next_state_;
  saved.state = std::move(state);
  saved.tensors = tensors;
  saved.sizes = sizes_;
  write_state(path_, saved);
  ++next_state_;
  remove_states(path_ / "state", [&](std::int64_t number) { return number + 1 < saved.number; });
}

void RunFolder::write_summary(Json summary, const std::string& table_markdown) {
  for (auto& [name, file] : open_) file.sync();
  drop_infinities(summary, "");
  write_file_atomically(path_ / "table.md", table_markdown);
  write_file_atomically(path_ / "summary.json", dump_json_pretty(summary, "summary.json"));  // last: marks the end
}

}  // namespace templora
