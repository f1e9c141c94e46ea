#include "run_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <set>
#include <utility>

#include "commands.h"
#include "config/model_name.h"
#include "core/error.h"
#include "core/utf8.h"

namespace templora {
namespace {

constexpr std::size_t kMostLabelBytes = 100, kMostWordBytes = 60;

std::string time_now(const char* format) {
  const std::time_t now = std::time(nullptr);
  char text[64];
  std::strftime(text, sizeof text, format, std::localtime(&now));
  return text;
}

/// run.json of a folder; null where there is none, or a damaged one.
Json record_in(const fs::path& folder) {
  const fs::path file = folder / "run.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return nullptr;
  try {
    return parse_json(read_file(file), file.string());
  } catch (const Error&) {
    return nullptr;
  }
}

/// The first of these labels that a record lacks; "" where it has them all.
std::string missing_label(const Json& record, const RunLabels& labels) {
  const auto at = [&](const char* key) { return record.is_object() ? record.value(key, Json()) : Json(); };
  if (!labels.name.empty() && at("name") != labels.name) return fmt::format("the name {}", printable(labels.name));
  const Json tags = at("tags");
  for (const std::string& tag : labels.tags)
    if (!tags.is_array() || std::find(tags.begin(), tags.end(), tag) == tags.end())
      return fmt::format("the tag {}", printable(tag));
  return "";
}

bool is_plain(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c >= 0x80;
}

}  // namespace

void check_labels(const RunLabels& labels) {
  const auto check = [](const std::string& text, const char* option) {
    const bool plain = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' ' || c == 127; });
    if (strip(text).empty() || text.size() > kMostLabelBytes || !plain || utf8_error(text) != kValidUtf8)
      throw Error(Exit::usage, fmt::format("{}: got \"{}\", wanted a line of text of at most {} bytes", option,
                                           printable(text), kMostLabelBytes));
  };
  if (!labels.name.empty()) check(labels.name, "--name");
  std::set<std::string> seen;
  for (const std::string& tag : labels.tags) {
    check(tag, "--tag");
    if (!seen.insert(tag).second)
      throw Error(Exit::usage, fmt::format("--tag: got \"{}\" twice, wanted each tag once", printable(tag)));
  }
}

void describe(const RunPlace& place, std::int64_t total_tokens, Json& record) {
  if (!place.labels.name.empty()) record["name"] = place.labels.name;
  if (!place.labels.tags.empty()) record["tags"] = place.labels.tags;
  record["started"] = time_now("%Y-%m-%dT%H:%M:%S%z");
  record["total_tokens"] = total_tokens;
}

fs::path default_parent(const std::string& config_file) { return fs::path("runs") / fs::path(config_file).stem(); }

ReservedFolder::ReservedFolder(const fs::path& parent, const std::string& words, const std::string& hash) {
  const std::string time = time_now("%Y%m%d-%H%M%S");
  for (fs::path missing = parent; !missing.empty() && !fs::exists(missing); missing = missing.parent_path())
    made_.push_back(missing);
  make_folder(parent);
  std::set<std::string> taken;  // times of this second, whatever the words behind them: names sort by age
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(parent, failure))
    if (const std::string name = entry.path().filename().string(); name.starts_with(time))
      taken.insert(name.substr(0, name.find('-', time.size())));
  for (int number = 1; number < 100; ++number) {  // ".02" sorts behind "-", so that the newest has the greatest name
    const std::string moment = time + (number == 1 ? "" : fmt::format(".{:02}", number));
    if (taken.contains(moment)) continue;
    path_ = parent / fmt::format("{}{}{}-{}", moment, words.empty() ? "" : "-", words, hash);
    failure.clear();
    if (fs::create_directory(path_, failure)) return;  // false where it is there, as mkdir(2) says it
    if (failure)
      throw Error(Exit::resources,
                  fmt::format("{}: cannot be created: {}", shown_path(path_), failure.message()));
  }
  throw Error(Exit::resources,
              fmt::format("{}: a hundred runs began in this second, wanted fewer; name a folder with --out",
                          shown_path(parent)));
}

ReservedFolder::~ReservedFolder() {
  std::error_code not_empty;  // only empty folders go
  fs::remove(path_, not_empty);
  for (const fs::path& folder : made_) fs::remove(folder, not_empty);
}

std::string folder_words(const LoadedConfig& config, const std::string& config_file, const RunLabels& labels) {
  const std::string& model = config.config.model.path;
  std::string text = labels.name;
  if (text.empty() && !model.empty()) text = model_name(model) + "-";
  if (labels.name.empty()) text += fs::path(config_file).stem().string();
  std::string words;
  for (const char c : text) {
    if (is_plain(static_cast<unsigned char>(c)))
      words += c;
    else if (!words.empty() && words.back() != '-')
      words += '-';
  }
  if (words.size() > kMostWordBytes) {
    std::size_t end = kMostWordBytes;
    while (end > 0 && (static_cast<unsigned char>(words[end]) & 0xC0) == 0x80) --end;  // no half letters
    words.resize(end);
  }
  while (!words.empty() && (words.back() == '-' || words.back() == '.')) words.pop_back();
  return words;
}

fs::path newest_folder(const fs::path& parent, const LoadedConfig& config, const RunLabels& labels) {
  std::vector<std::pair<bool, fs::path>> candidates;
  std::error_code ignored;
  const bool labelled = !labels.name.empty() || !labels.tags.empty();
  for (const auto& entry : fs::directory_iterator(parent, ignored))
    if (const std::string name = entry.path().filename().string();
        name.ends_with("-" + config.hash) || name.ends_with("-" + config.hash_of_0_1))
      if (!labelled || missing_label(record_in(entry.path()), labels).empty())
        candidates.emplace_back(fs::exists(entry.path() / "run.json", ignored), entry.path());
  if (candidates.empty())
    throw Error(Exit::usage, fmt::format("--resume: no run of this config{} in {}; name its folder with --out",
                                         labelled ? " with this name and these tags" : "", parent.string()));
  return std::max_element(candidates.begin(), candidates.end())->second;
}

void require_labels(const fs::path& folder, const RunLabels& labels) {
  const Json record = record_in(folder);
  if (record.is_null()) return;  // a run that is still to begin there
  if (const std::string missing = missing_label(record, labels); !missing.empty())
    throw Error(Exit::usage,
                fmt::format("{}: this run was not begun with {}, and labels are given at the beginning; leave it out",
                            shown_path(folder), missing));
}

}  // namespace templora
