#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "run/config.h"
#include "run/record.h"

namespace templora {

/// Which scorer a per-token NLL belongs to.
enum class Scorer { base, lora };
const char* scorer_name(Scorer scorer);  ///< "base", "lora"

/// A run's folder while it is written: run.json (config, versions, device, hashes; written first),
/// books.jsonl, chunks.jsonl, nll/<book_index>-<scorer>.f32 (raw little-endian float32, one value a scored
/// token, in order), state/ (for resume), summary.json and table.md at the end. See docs/formats.md.
class RunFolder {
 public:
  /// A new run. `run_record` becomes run.json. Creates the folder; an existing one that is not empty is
  /// refused, whatever is in it. Throws Error(usage) / Error(resources).
  static RunFolder create(const fs::path& path, const Json& run_record);

  /// A run to go on with: run.json's identity (config hash, threads, CPU capability, torch version, weight
  /// hash) must equal `run_record`'s, else Error(usage) that names each difference. Files are cut back to
  /// what the newest complete state says; a run with no state yet starts over in place.
  /// A finished run (summary.json there) is reported by `finished()`, and left alone.
  static RunFolder resume(const fs::path& path, const Json& run_record);

  /// Newest complete saved state's JSON part, if any.
  const std::optional<Json>& saved_state() const { return saved_state_; }
  /// Path of the tensors that belong to `saved_state()`.
  fs::path saved_tensors() const;
  bool finished() const { return finished_; }

  void append_book(const BookRecord& record);
  void append_chunk(const ChunkRecord& record);
  /// Appends NLLs of one chunk in nats.
  void append_nll(std::int64_t book_index, Scorer scorer, std::span<const float> nll);

  /// Saves a state: the caller writes the tensors to the path it is given (in state/, to be named in the
  /// JSON part by this call), then everything appended so far is synced and the JSON part is written
  /// atomically together with the sizes of all record files. The last two states are kept.
  template <class WriteTensors>
  void save_state(Json state, WriteTensors&& write_tensors) {
    const fs::path tensors = next_state_tensors();
    write_tensors(tensors);
    commit_state(std::move(state), tensors);
  }

  void write_summary(const Json& summary, const std::string& table_markdown);
  const fs::path& path() const { return path_; }

 private:
  explicit RunFolder(fs::path path) : path_(std::move(path)) {}
  fs::path next_state_tensors();
  void commit_state(Json state, const fs::path& tensors);
  AppendFile& file(const std::string& relative);

  fs::path path_;
  std::optional<Json> saved_state_;
  bool finished_ = false;
  std::map<std::string, AppendFile> files_;            // by path relative to the folder
  std::map<std::string, std::uint64_t> resumed_sizes_; // what the saved state says they hold
};

/// A run's folder read back: everything that tables are made of.
struct RunData {
  Json run;  ///< run.json
  std::vector<BookRecord> books;
  std::vector<ChunkRecord> chunks;
  /// [book_index][scorer] -> NLL of each scored token, nats.
  std::map<std::int64_t, std::map<Scorer, std::vector<float>>> nll;
};

/// Throws Error(bad_input) naming file and line, and where the NLL files and chunk records disagree.
RunData read_run(const fs::path& path);

}  // namespace templora
