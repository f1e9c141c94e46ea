#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"
#include "run/record.h"

namespace templora {

struct StateFile;

/// Whether a process writes to this run's folder now, as this machine's kernel knows it: where a file system's locks
/// hold on one node only, the processes of others are not seen.
bool is_run_locked(const fs::path& run);

/// A run's folder while it is written: run.json (config, versions, device, hashes; written first),
/// books.jsonl, chunks.jsonl, nll/<book_index>-<arm>.f32 (raw little-endian float32, one value a scored
/// token, in order), state/ (for resume), summary.json and table.md at the end. See docs/formats.md.
///
/// run.json is an object that the caller fills. This class reads its `identity` (an object of strings and
/// numbers: config_hash, threads, ...); tables read its `config` (LoadedConfig::effective).
/// The folder is locked while an object for it lives; a crash at any moment leaves it resumable.
class RunFolder {
 public:
  /// A new run. `run_record` becomes run.json. Creates the folder; an existing one that is not empty is
  /// refused, whatever is in it. Throws Error(usage) / Error(resources).
  static RunFolder create(const fs::path& path, const Json& run_record);

  /// Throws Error(usage) where a new run could not have this folder.
  static void require_new(const fs::path& path);

  /// A run to go on with: run.json's `identity` (config hash, threads, CPU capability, torch version, weight
  /// hash, text hashes) must equal `run_record`'s, else Error(usage) that names each difference; its config hash may
  /// be `other_config_hash` too (LoadedConfig::hash_of_0_1). Files are cut
  /// back to what the newest complete state says (Error(bad_input), and nothing changed, where there are states but
  /// none can be used); a run with no state yet starts over in place, and so does one that was stopped before run.json
  /// was written. A finished run (summary.json there) is reported by `finished()`, and left alone.
  static RunFolder resume(const fs::path& path, const Json& run_record, const std::string& other_config_hash = "");

  /// Makes a finished run an unfinished one that goes on from its newest state, as resume() does. summary.json,
  /// table.md and cost.md are removed before anything else, so that a crash leaves an unfinished run. Throws
  /// Error(bad_input), and nothing is changed, where there is no state that can be used.
  void reopen();

  /// JSON part of the newest complete state that resume() found, if any.
  const std::optional<Json>& saved_state() const { return saved_state_; }
  /// Path of the tensors that belong to `saved_state()`; to be read before the next save_state().
  fs::path saved_tensors() const;
  bool finished() const { return finished_; }

  void append_book(const BookRecord& record);
  void append_chunk(const ChunkRecord& record);
  /// Appends a line to a file of the experiment's own, "steps.jsonl".
  void append_line(const std::string& name, const Json& record);
  /// Appends NLLs of one chunk in nats.
  void append_nll(std::int64_t book_index, Arm arm, std::span<const float> nll);

  /// Saves a state: the caller writes the tensors to the path it is given (in state/, to be named in the
  /// JSON part by this call), then everything appended so far is synced and the JSON part is written
  /// atomically together with the sizes of all record files. The last two states are kept.
  template <class WriteTensors>
  void save_state(Json state, WriteTensors&& write_tensors) {
    const fs::path tensors = next_state_tensors();
    write_tensors(tensors);
    commit_state(std::move(state), tensors);
  }

  /// Ends the run. A number that is not finite stands as null, and a log line says so.
  void write_summary(Json summary, const std::string& table_markdown);
  const fs::path& path() const { return path_; }

 private:
  struct Lock;

  explicit RunFolder(fs::path path);
  fs::path next_state_tensors();
  void commit_state(Json state, const fs::path& tensors);
  std::optional<StateFile> newest_state() const;
  void go_back_to(std::optional<StateFile> state);
  void cut_records(const std::map<std::string, std::uint64_t>& sizes);
  AppendFile& file(const std::string& relative);

  fs::path path_;
  std::shared_ptr<Lock> lock_;
  std::optional<Json> saved_state_;
  fs::path saved_tensors_;
  bool finished_ = false;
  std::int64_t next_state_ = 0;                 // number of the next state; they only grow
  std::map<std::string, AppendFile> open_;      // by path relative to the folder; a few of the files below
  std::map<std::string, std::uint64_t> sizes_;  // of every record file written so far
};

}  // namespace templora
