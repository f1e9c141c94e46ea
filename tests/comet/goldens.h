#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "comet/comet.h"
#include "core/file.h"
#include "core/json.h"

// Results of unbabel-comet 2.2.7 on a small random checkpoint, made by `scripts/make_goldens.py comet`.
namespace templora::goldens {

inline fs::path folder() { return fs::path(TEMPLORA_SOURCE_DIR) / "tests" / "goldens" / "comet"; }

inline Json json(const std::string& name) { return parse_json(read_file(folder() / name), name); }

inline std::vector<CometSegment> segments() {
  std::vector<CometSegment> out;
  for (const Json& item : json("segments.json")) out.push_back({item.at(0), item.at(1), item.at(2)});
  return out;
}

/// A copy of the committed model folder that a test may damage; it goes when the object does.
class ModelCopy {
 public:
  ModelCopy() {
    std::string pattern = (fs::temp_directory_path() / "templora-comet-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
    path_ = pattern;
    fs::copy(folder() / "model", path_);
    // The checkout may be read only, and copies keep that.
    for (const auto& entry : fs::directory_iterator(path_))
      fs::permissions(entry.path(), fs::perms::owner_write, fs::perm_options::add);
  }
  ~ModelCopy() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ModelCopy(const ModelCopy&) = delete;
  ModelCopy& operator=(const ModelCopy&) = delete;

  const fs::path& path() const { return path_; }
  fs::path file(const std::string& name) const { return path_ / name; }

  /// config.json with `change` applied.
  template <typename Change>
  void edit_config(const Change& change) const {
    Json config = parse_json(read_file(file("config.json")), "config.json");
    change(config);
    write_file_atomically(file("config.json"), dump_json_pretty(config, "config.json"));
  }

 private:
  fs::path path_;
};

}  // namespace templora::goldens
