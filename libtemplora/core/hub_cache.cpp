#include "core/hub_cache.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "core/data_manifest.h"
#include "core/error.h"

namespace templora {
namespace {

constexpr std::size_t kLongestName = 96;      // of one part, as the hub has it
constexpr std::size_t kLongestRevision = 200;
constexpr std::size_t kFewestDigits = 7;      // of a commit that is not written out
constexpr std::size_t kCommitDigits = 40;

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

bool is_name(std::string_view text) { return std::all_of(text.begin(), text.end(), is_name_byte); }

// One part of a repository's name: what may also stand in a folder's name of the cache, and leads nowhere else.
bool is_part(std::string_view text) {
  return !text.empty() && text.size() <= kLongestName && text.front() != '.' && text.front() != '-' &&
         text.back() != '.' && text.find("--") == text.npos && text.find("..") == text.npos && is_name(text);
}

// A branch may have slashes in its name ("refs/pr/1"), never a way out.
bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > kLongestRevision) return false;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find('/', start), text.size());
    const std::string_view part = text.substr(start, end - start);
    if (part.empty() || part == "." || part == ".." || !is_name(part)) return false;
    start = end + 1;
  }
  return true;
}

bool is_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_commit(std::string_view text) { return text.size() == kCommitDigits && is_digits(text); }

fs::path home() {
  if (const char* told = std::getenv("HOME"); told && *told) return told;
  const passwd* const user = ::getpwuid(::getuid());
  return user ? user->pw_dir : "";
}

// Text with $NAME and ${NAME} of the environment put in; what is not set stays as it stands.
std::string with_variables(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const bool braces = text.substr(at, 2) == "${";
    const std::size_t begin = at + (braces ? 2 : 1);
    std::size_t end = begin;
    while (end < text.size() && is_name_byte(text[end]) && text[end] != '-' && text[end] != '.') ++end;
    const bool named = text[at] == '$' && end > begin && (!braces || text.substr(end, 1) == "}");
    const char* value = named ? std::getenv(std::string(text.substr(begin, end - begin)).c_str()) : nullptr;
    if (!value) {
      out += text[at++];
      continue;
    }
    out += value;
    at = end + (braces ? 1 : 0);
  }
  return out;
}

// Of an environment variable, as Hugging Face's own tools read it ("~" is the user's home); empty where it is not set.
fs::path path_of(const char* variable) {
  const char* value = std::getenv(variable);
  const std::string text = value ? value : "";
  if (text == "~") return home();
  return with_variables(text.starts_with("~/") ? (home() / text.substr(2)).string() : text);
}

// What refs/<revision> says; empty where there is none.
std::string commit_of_ref(const fs::path& folder, const std::string& revision) {
  const fs::path ref = folder / "refs" / revision;
  std::error_code failed;
  const auto bytes = fs::file_size(ref, failed);
  if (failed || bytes > kCommitDigits + 2) return "";
  std::string commit = read_file(ref);
  while (!commit.empty() && (commit.back() == '\n' || commit.back() == '\r')) commit.pop_back();
  return is_commit(commit) ? commit : "";
}

std::vector<std::string> commits_with(const fs::path& snapshots, const std::string& digits) {
  std::vector<std::string> found;
  std::error_code failed;
  for (fs::directory_iterator entry(snapshots, failed), end; !failed && entry != end; entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (is_commit(name) && name.starts_with(digits)) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace

std::optional<RepositoryName> repository_name(std::string_view text) {
  RepositoryName name;
  if (const std::size_t at = text.find('@'); at != text.npos) {
    name.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  if (slash == text.npos || !is_part(text.substr(0, slash)) || !is_part(text.substr(slash + 1))) return std::nullopt;
  if (!is_revision(name.revision)) return std::nullopt;
  name.repository = text;
  return name;
}

fs::path hub_cache() {
  for (const char* direct : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"})
    if (const fs::path folder = path_of(direct); !folder.empty()) return folder;
  if (const fs::path home = path_of("HF_HOME"); !home.empty()) return home / "hub";
  fs::path cache = path_of("XDG_CACHE_HOME");
  if (cache.empty()) cache = home() / ".cache";
  return cache / "huggingface" / "hub";
}

std::optional<fs::path> cached_snapshot(const RepositoryName& name) {
  std::string folder_name = "models--" + name.repository;
  folder_name.replace(folder_name.find('/'), 1, "--");
  const fs::path folder = fs::absolute(hub_cache() / folder_name), snapshots = folder / "snapshots";
  std::string commit = commit_of_ref(folder, name.revision);
  if (commit.empty() && name.revision.size() >= kFewestDigits && is_digits(name.revision)) {
    const std::vector<std::string> fits = commits_with(snapshots, name.revision);
    if (fits.size() > 1)
      throw Error(Exit::usage, fmt::format("{}@{}: {} commits in {} begin so ({}); write more digits", name.repository,
                                           name.revision, fits.size(), snapshots.string(), fmt::join(fits, ", ")));
    if (!fits.empty()) commit = fits.front();
  }
  if (commit.empty() || !fs::is_directory(snapshots / commit)) return std::nullopt;
  return (snapshots / commit).lexically_normal();
}

std::optional<Snapshot> snapshot_of(const fs::path& folder) {
  constexpr std::string_view kPrefix = "models--";
  const fs::path snapshots = folder.parent_path();
  std::string name = snapshots.parent_path().filename().string();
  if (snapshots.filename() != "snapshots" || !is_commit(folder.filename().string())) return std::nullopt;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.erase(0, kPrefix.size());
  if (const std::size_t dashes = name.find("--"); dashes != name.npos) name.replace(dashes, 2, "/");
  return Snapshot{name, folder.filename().string()};
}

std::string fetching_line(const RepositoryName& name) {
  const std::string revision = name.revision == "main" ? "" : " --revision " + name.revision;
  return fmt::format("where there is a network, `hf download {}{}` fetches it", name.repository, revision);
}

std::string how_to_fetch(const fs::path& missing) {
  if (const std::string command = how_to_get(missing); !command.empty()) return command;
  for (fs::path folder = missing; folder.has_relative_path(); folder = folder.parent_path()) {
    const auto snapshot = snapshot_of(folder);
    if (!snapshot) continue;
    const std::string& name = snapshot->repository;
    if (!repository_name(name) && !is_part(name)) return "";  // a folder can have any name, and this one is for a shell
    const bool is_main = commit_of_ref(folder.parent_path().parent_path(), "main") == snapshot->commit;
    return fmt::format("; the cache's copy of {} is not complete: {}", name,
                       fetching_line({name, is_main ? "main" : snapshot->commit}));
  }
  // Where not even the folder's folder is there, a repository may be meant.
  const fs::path path = fs::absolute(missing).lexically_normal(), above = path.parent_path();
  const fs::path base = above.parent_path();
  const auto name = repository_name((above.filename() / path.filename()).string());
  std::error_code ignored;
  if (!name || !base.has_relative_path() || fs::exists(above, ignored) || !fs::exists(base, ignored)) return "";
  if (const fs::path extension = path.extension(); extension == ".json" || extension == ".model") return "";
  return fmt::format("; if the repository {} is meant, it is not in the Hugging Face cache {}: {}", name->repository,
                     shown_path(hub_cache()), fetching_line(*name));
}

}  // namespace templora
