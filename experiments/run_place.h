#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/file.h"
#include "core/json.h"

namespace templora {

/// What people call a run. It stands in run.json beside the identity and decides no number, so it is in no hash.
struct RunLabels {
  std::string name;
  std::vector<std::string> tags;
};

/// Throws Error(usage) for a name or tag that is no line of text of 1 to 100 bytes, and for a tag that stands twice.
void check_labels(const RunLabels& labels);

/// Where a run is written.
struct RunPlace {
  fs::path folder;
  bool resume = false;  ///< goes on with the run there
  RunLabels labels;     ///< of a new run
  bool verbose = false; ///< prints all tables at the end, not the answer alone
};

/// Puts into run.json's content what `templora list` finds a run by: labels, the time, and how many tokens it will have
/// processed at its end.
void describe(const RunPlace& place, std::int64_t total_tokens, Json& record);

/// runs/<config name>, where runs lie that are given no folder.
fs::path default_parent(const std::string& config_file);

/// Makes a folder <time>-<words>-<hash> that no other run has, for a run that may still fail before it writes there:
/// then it goes again, with those above it that were made for it. The words are the run's name, else model and config.
class ReservedFolder {
 public:
  /// Throws Error(resources).
  ReservedFolder(const fs::path& parent, const std::string& words, const std::string& hash);
  ~ReservedFolder();
  ReservedFolder(const ReservedFolder&) = delete;
  ReservedFolder& operator=(const ReservedFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  std::vector<fs::path> made_;
};

/// "small-6m-quickstart", or the name: letters, digits, dots and underlines, the rest as hyphens, at most 60 bytes.
std::string folder_words(const LoadedConfig& config, const std::string& config_file, const RunLabels& labels);

/// The newest run of a config in a folder, with these labels; one that was killed before it wrote its record only where
/// there is no other. Finds folders of 0.1, <time>-<hash>, too. Throws Error(usage) where there is none.
fs::path newest_folder(const fs::path& parent, const LoadedConfig& config, const RunLabels& labels);

/// Refuses labels that the run in a folder was not begun with. Throws Error(usage).
void require_labels(const fs::path& folder, const RunLabels& labels);

}  // namespace templora
