#include <fmt/format.h>
#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <memory>
#include <set>

#include "core/data_manifest.h"
#include "core/error.h"
#include "core/file.h"

namespace templora {

bool name_matches(const fs::path& file, const std::string& pattern) {
  return ::fnmatch(pattern.c_str(), file.filename().c_str(), 0) == 0;
}

std::string glob_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '*' || c == '?' || c == '[' || c == ']' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

namespace {

/// Matches of one pattern, sorted by the bytes of their names whatever the locale says.
std::vector<std::string> matches(const std::string& pattern, const fs::path& base) {
  if (pattern.empty() || pattern.find('\0') != std::string::npos) return {};
  const fs::path literal = base / pattern;
  std::error_code ignored;
  if (fs::exists(literal, ignored)) return {literal.string()};
  std::string full = pattern;
  if (!fs::path(pattern).is_absolute() && !base.empty())
    full = (fs::path(glob_escaped(base.string())) / pattern).string();

  glob_t found{};
  const std::unique_ptr<glob_t, void (*)(glob_t*)> freed(&found, [](glob_t* g) { ::globfree(g); });
  const int status = ::glob(full.c_str(), GLOB_NOSORT, nullptr, &found);
  if (status == GLOB_NOSPACE)
    throw Error(Exit::resources, fmt::format("{}: too many matches for the memory", printable(pattern)));
  if (status != 0) return {};
  std::vector<std::string> out(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  std::sort(out.begin(), out.end());
  return out;
}

/// A pattern without magic stands for one name: that name, without backslashes. Else "".
std::string only_name(const std::string& pattern) {
  std::string name;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') return "";
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    name += pattern[i];
  }
  return name;
}

std::string nothing_there(const std::string& pattern, const fs::path& base) {
  const std::string name = only_name(pattern);
  const std::string what = name.empty() ? fmt::format("{}: no file fits this pattern, wanted at least one",
                                                      printable(pattern, 1000))
                                        : fmt::format("{}: no such file", printable(name, 1000));
  if (fs::path(pattern).is_absolute()) return what;
  return fmt::format("{} under {}; relative paths start there", what,
                     shown_path(base.empty() ? "." : base));
}

}  // namespace

std::vector<fs::path> expand_globs(const std::vector<std::string>& patterns, const fs::path& base) {
  std::vector<fs::path> out;
  std::set<fs::path> seen;
  for (const std::string& pattern : patterns) {
    const std::vector<std::string> found = matches(pattern, base);
    if (found.empty()) throw Error(Exit::bad_input, nothing_there(pattern, base) + how_to_get(base / pattern));
    for (const std::string& name : found) {
      const fs::path path = fs::path(name).lexically_normal();
      if (seen.insert(path).second) out.push_back(path);
    }
  }
  return out;
}

}  // namespace templora
