#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"

namespace templora {

/// One file of a set, as data/manifest.json has it. A name with `*` stands for at least one file that fits.
struct DataFile {
  std::string name;  ///< below the set's folder
  std::optional<std::int64_t> bytes;
  std::optional<std::string> sha256;
  std::vector<std::pair<std::string, std::int64_t>> tokens;  ///< by tokenizer; one that nobody counted is not there
};

/// Texts, novels or a model that belong together: what `templora data check` and `scripts/get-data` know by one name.
struct DataSet {
  std::string name;
  std::string folder;  ///< below the folder that holds data/, "data/pg19"
  std::string what, licence;
  std::string get;      ///< the command that gets it
  std::string unknown;  ///< what nobody could check, or nothing
  std::vector<DataFile> files;
};

/// Reads a manifest. Throws Error(bad_input) naming set, file and field: a name that leads out of its folder, a hash
/// that is none, a size below 0, a name twice, an unknown field (a mistyped hash would be none), no set.
std::vector<DataSet> read_data_manifest(const fs::path& path);

/// data/manifest.json below the current folder, else below the one that holds the program's build folder.
/// Throws Error(bad_input) where neither is there.
fs::path find_data_manifest();

/// What to do about a text, novel or model folder that is not there, where its path is one that the manifest names
/// ("data/pg19/349.txt", "models/Yi-6B-Chat"), in whatever folder that is: the command, as the end of a message
/// ("; ./scripts/get-data pg19 gets it"), else "". `missing` may be a pattern. Never throws for want of a manifest.
std::string how_to_get(const fs::path& missing);

enum class DataState {
  right,  ///< size and hash are the manifest's
  there,  ///< a file is there; no hash is known
  wrong,  ///< another size or hash, or it cannot be read
  missing,
};
const char* word_of(DataState state);

struct CheckedFile {
  DataState state;
  std::string detail;  ///< what was got and wanted, where it is wrong; else bytes or nothing
};

/// Whether a file of `folder` has the name, or fits the pattern; nothing is read.
bool data_file_is_there(const DataFile& file, const fs::path& folder);

/// Compares a file of `folder` with the manifest's size and SHA-256.
CheckedFile check_data_file(const DataFile& file, const fs::path& folder);

}  // namespace templora
