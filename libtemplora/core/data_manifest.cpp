#include "core/data_manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/json_fields.h"
#include "core/sha256.h"

namespace templora {
namespace {

constexpr const char* kManifest = "data/manifest.json";
constexpr const char* kSetFields[] = {"name", "folder", "what", "licence", "get", "unknown", "from",
                                      "hub",  "archive", "cut", "then", "made_of", "about", "files"};
constexpr const char* kFileFields[] = {"name", "bytes", "sha256", "tokens", "from"};
constexpr std::int64_t kMostBytes = std::int64_t{1} << 50;
constexpr std::size_t kReadBytes = 1 << 20;

// One name in a folder: it leads nowhere else and is no option of a command.
bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 200 && name.front() != '-' && name.front() != '.' &&
         name.find('/') == name.npos && printable(name, 200) == name;
}

bool stays_inside(const std::string& path) {
  const fs::path parts = path;
  return !path.empty() && path.find("//") == path.npos && std::all_of(parts.begin(), parts.end(),
                                      [](const fs::path& part) { return is_name(part.string()); });
}

template <class Names>
void require_known(const JsonFields& fields, const Json& json, const Names& known) {
  for (const auto& item : json.items())
    if (std::find(std::begin(known), std::end(known), item.key()) == std::end(known))
      fields.refuse(printable(item.key()), "a field", "one that docs/data.md names");
}

DataFile read_file_entry(const Json& json, const std::string& set) {
  DataFile file;
  const JsonFields fields(json, set + ": files");
  file.name = fields.text("name", "");
  if (!stays_inside(file.name)) fields.refuse("name", "a file's name that does not lead out of its folder");
  const std::string where = set + ": " + file.name;
  const JsonFields named(json, where);
  require_known(named, json, kFileFields);
  if (named.has("bytes")) file.bytes = named.size("bytes", {}, 0, kMostBytes);
  if (named.has("sha256")) file.sha256 = named.text("sha256", "");
  if (file.sha256 && !is_sha256(*file.sha256)) named.refuse("sha256", "64 lower-case hex digits, or null");
  if (file.name.find('*') != file.name.npos && (file.bytes || file.sha256))
    named.refuse("name", "the name of one file where bytes or a hash are given");
  if (named.has("tokens") && !named.raw("tokens").is_object()) named.refuse("tokens", "an object of counts");
  if (named.has("tokens"))
    for (const auto& item : named.raw("tokens").items())
      file.tokens.emplace_back(item.key(), named.size_of("tokens", item.value(), 0, kMostBytes));
  return file;
}

DataSet read_set(const Json& json, const std::string& where) {
  const JsonFields fields(json, where + ": sets");
  DataSet set;
  set.name = fields.text("name", "");
  if (!is_name(set.name)) fields.refuse("name", "a name");
  const JsonFields named(json, where + ": " + set.name);
  require_known(named, json, kSetFields);
  set.folder = named.text("folder", "");
  if (!stays_inside(set.folder)) named.refuse("folder", "a relative path that does not lead out");
  set.what = named.text("what", "");
  set.licence = named.text("licence", "");
  set.get = named.text("get", "");
  set.unknown = named.text("unknown", "");
  const Json& files = named.at("files");
  if (!files.is_array() || files.empty()) named.refuse("files", "an array of files");
  std::set<std::string> names;
  for (const Json& file : files) {
    set.files.push_back(read_file_entry(file, where + ": " + set.name));
    if (!names.insert(set.files.back().name).second)
      named.refuse("files", set.files.back().name + " twice", "each name once");
  }
  return set;
}

CheckedFile wrong(const std::string& field, const std::string& got, const std::string& wanted) {
  return {DataState::wrong, fmt::format("{}: got {}, wanted {}", field, got, wanted)};
}

CheckedFile check_pattern(const std::string& pattern, const fs::path& folder) {
  std::size_t found = 0;
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end; entry.increment(failed))
    if (name_matches(entry->path(), pattern)) ++found;
  if (found == 0) return {DataState::missing, ""};
  return {DataState::there, fmt::format("{} file{}", found, found == 1 ? "" : "s")};
}

// The file may be larger than memory, and may change while it is read.
std::optional<std::string> sha256_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string block(kReadBytes, '\0');
  Sha256 hasher;
  while (file) {
    file.read(block.data(), std::streamsize(block.size()));
    hasher.update(std::string_view(block).substr(0, std::size_t(file.gcount())));
  }
  if (file.bad() || !file.eof()) return {};
  return hasher.hex();
}

}  // namespace

std::vector<DataSet> read_data_manifest(const fs::path& path) {
  const std::string where = shown_path(path);
  const Json json = parse_json(read_file(path), where);
  const JsonFields fields(json, where);
  fields.must_be("format", 1);
  const Json& sets = fields.at("sets");
  if (!sets.is_array() || sets.empty()) fields.refuse("sets", "an array of sets");
  std::vector<DataSet> read;
  std::set<std::string> names;
  for (const Json& set : sets) {
    read.push_back(read_set(set, where));
    if (!names.insert(read.back().name).second) fields.refuse("sets", read.back().name + " twice", "each name once");
  }
  return read;
}

fs::path find_data_manifest() {
  const fs::path name = kManifest;
  if (fs::exists(name)) return name;
  std::error_code failed;
  const fs::path program = fs::read_symlink("/proc/self/exe", failed);
  const fs::path beside = program.parent_path().parent_path() / name;
  if (!failed && fs::exists(beside)) return beside;
  throw Error(Exit::bad_input,
              "data/manifest.json: no such file in the current folder, nor in the one that the program "
              "was built in; name it with --manifest");
}

namespace {

// The last names of a path, as many as `folder` has. A model is known by its own name wherever it is looked for.
bool ends_like(const fs::path& path, const fs::path& folder) {
  const bool model = *folder.begin() == "models";
  auto at = folder.end(), mine = path.end();
  while (at != folder.begin()) {
    if (mine == path.begin() || *--mine != *--at) return false;
    if (model) return true;
  }
  return true;
}

bool has_file(const DataSet& set, const fs::path& name) {
  return std::any_of(set.files.begin(), set.files.end(), [&](const DataFile& file) { return file.name == name; });
}

}  // namespace

std::string how_to_get(const fs::path& missing) {
  const fs::path path = normal_path(missing), folder = path.parent_path();
  const DataSet* found = nullptr;
  std::vector<DataSet> sets;
  try {
    sets = read_data_manifest(find_data_manifest());
  } catch (const Error&) {
    return "";  // the program stands without its checkout: there is no script either
  }
  for (const DataSet& set : sets) {
    if (ends_like(path, set.folder)) found = &set;
    if (!ends_like(folder, set.folder)) continue;
    // Of two sets in one folder the one that names the file is meant; of a pattern the larger one.
    if (has_file(set, path.filename())) return fmt::format("; {} gets it", set.get);
    found = &set;
  }
  return found ? fmt::format("; {} gets {}", found->get, found->what) : "";
}

const char* word_of(DataState state) {
  constexpr const char* kWords[] = {"right", "there", "wrong", "missing"};
  return kWords[std::size_t(state)];
}

bool data_file_is_there(const DataFile& file, const fs::path& folder) {
  std::error_code failed;
  return file.name.find('*') != file.name.npos ? check_pattern(file.name, folder).state == DataState::there
                                               : fs::exists(folder / file.name, failed);
}

CheckedFile check_data_file(const DataFile& file, const fs::path& folder) {
  if (file.name.find('*') != file.name.npos) return check_pattern(file.name, folder);
  const fs::path path = folder / file.name;
  std::error_code failed;
  const fs::file_status status = fs::status(path, failed);
  if (status.type() == fs::file_type::not_found) return {DataState::missing, ""};
  if (failed) return wrong("file", failed.message(), "one that can be read");
  if (!fs::is_regular_file(status)) return wrong("file", "something else", "a regular file");
  const auto bytes = std::int64_t(fs::file_size(path, failed));
  if (failed) return wrong("file", failed.message(), "one that can be read");
  if (file.bytes && bytes != *file.bytes)
    return wrong("bytes", fmt::format("{}", bytes), fmt::format("{}", *file.bytes));
  if (!file.sha256) return {DataState::there, fmt::format("{} bytes, no hash is known", bytes)};
  const std::optional<std::string> hash = sha256_of(path);
  if (!hash) return wrong("file", "an error while it was read", "one that can be read");
  if (*hash != *file.sha256) return wrong("SHA-256", *hash, *file.sha256);
  return {DataState::right, fmt::format("{} bytes", bytes)};
}

}  // namespace templora
