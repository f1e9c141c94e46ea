#include "config/config_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "config/config_fields.h"
#include "config/config_inputs.h"
#include "config/model_folder.h"
#include "core/json_comments.h"

namespace templora {
namespace {

constexpr std::size_t kMostFiles = 64;  // of one chain

fs::path absolute_folder(const fs::path& folder) {
  return normal_path(fs::absolute(folder.empty() ? fs::path(".") : folder));
}

Json read_json(const fs::path& file) {
  try {
    return parse_commented_json(read_file(file), file.string());
  } catch (const Error& error) {
    throw Error(Exit::usage, error.what());
  }
}

void require_object(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(Exit::usage, fmt::format("{}: got no object, wanted one, {{...}}", where));
}

/// Takes "$schema", which is the editor's, and "extends" out. → the latter's text, or "".
std::string take_own_keys(Json& json, const std::string& where) {
  for (const char* key : {"$schema", "extends"})
    if (const auto found = json.find(key); found != json.end() && (!found->is_string() || *found == ""))
      throw Error(Exit::usage, fmt::format("{}: {}: got {}, wanted a text", where, key, printable(found->dump(), 60)));
  const std::string parent = json.value("extends", "");
  json.erase("$schema");
  json.erase("extends");
  return parent;
}

bool is_known(const std::string& key) {
  static const std::set<std::string> known = [] {
    std::set<std::string> names;
    for (const auto& [name, info] : config_keys()) {
      names.insert(name);
      if (const std::size_t dot = name.find('.'); dot != std::string::npos) names.insert(name.substr(0, dot));
    }
    return names;
  }();
  return known.contains(key);
}

/// Puts what a file says over what it inherits. A null that resets nothing, of a mistyped key, stays to be refused.
void merge(Json& inherited, const Json& own, const std::string& parent) {
  for (const auto& item : own.items()) {
    const std::string key = dotted(parent, item.key());
    const auto there = inherited.find(item.key());
    if (item.value().is_null() && (there != inherited.end() || is_known(key)))
      inherited.erase(item.key());
    else if (Json& value = inherited[item.key()]; item.value().is_object())
      merge(value.is_object() ? value : value = Json::object(), item.value(), key);
    else
      value = item.value();
  }
}

void move_paths(Json& config, const fs::path& from, const fs::path& to) {
  if (from == to) return;
  for (const auto& [key, info] : config_keys()) {
    Json* const value = info.path ? find_key(config, key) : nullptr;
    if (value == nullptr) continue;
    if (value->is_string()) *value = moved_path(value->get<std::string>(), info.repository, false, from, to);
    if (!value->is_array()) continue;
    for (Json& item : *value)
      if (item.is_string()) item = moved_path(item.get<std::string>(), info.repository, true, from, to);
  }
}

/// `chain`: the files that led here, as they are shown and as they are compared.
struct Chain {
  std::vector<std::string> shown;
  std::vector<fs::path> files;

  void add(const fs::path& file) {
    std::error_code ignored;
    const fs::path real = fs::weakly_canonical(file, ignored);
    const auto first = std::size_t(std::find(files.begin(), files.end(), real) - files.begin());
    const bool circle = first != files.size();
    shown.push_back(file.string());
    files.push_back(real);
    if (!circle && files.size() <= kMostFiles) return;
    std::string names;
    for (std::size_t i = circle ? first : 0; i < shown.size(); ++i)
      names += (names.empty() ? "" : " → ") + printable(shown[i]);
    const std::string got = circle ? "a circle" : fmt::format("a chain of more than {} files", kMostFiles);
    throw Error(Exit::usage, fmt::format("{}: extends: got {}, wanted files that end in one without extends: {}",
                                         shown.front(), got, printable(names, 1500)));
  }
};

FlatConfig flattened(Json json, const std::string& where, const fs::path& folder, Chain& chain) {
  require_object(json, where);
  const std::string parent = take_own_keys(json, where);
  FlatConfig flat{json, {{where, json}}};
  if (parent.empty()) return flat;
  const fs::path file = normal_path(folder / parent);
  chain.add(file);
  Json inherited;
  try {
    inherited = read_json(file);
  } catch (const Error& error) {
    throw Error(Exit::usage, fmt::format("{}: extends: {}", where, error.what()));
  }
  FlatConfig above = flattened(std::move(inherited), file.string(), file.parent_path(), chain);
  move_paths(above.json, absolute_folder(file.parent_path()), absolute_folder(folder));
  merge(above.json, flat.json, "");
  flat.json = std::move(above.json);
  flat.layers.insert(flat.layers.end(), above.layers.begin(), above.layers.end());
  return flat;
}

}  // namespace

std::string moved_path(const std::string& path, bool repository, bool pattern, const fs::path& from,
                       const fs::path& to) {
  if (path.empty() || fs::path(path).is_absolute()) return path;
  if (repository && !fs::exists(normal_path(from / path)) && repository_name(path)) return path;
  fs::path folder = from.lexically_relative(to);
  // What exists by that very name is meant as it stands; else the folder's own brackets are no pattern.
  if (pattern && !fs::exists(normal_path(from / path))) folder = glob_escaped(folder.string());
  return (folder / path).lexically_normal().string();
}

const std::string& FlatConfig::source(const std::string& key) const {
  const std::string whole = key.substr(0, key.find('['));  // of an array one item
  for (const ConfigLayer& layer : layers) {
    Json json = layer.json;
    if (find_key(json, whole) != nullptr) return layer.where;
  }
  return layers.front().where;
}

FlatConfig flat_config(Json json, const std::string& where, const fs::path& folder) {
  Chain chain;
  return flattened(std::move(json), where, folder, chain);
}

FlatConfig flat_config(const std::string& text, const std::string& where, const fs::path& folder) {
  return flat_config(parse_commented_json(text, where), where, folder);
}

FlatConfig read_flat_config(const fs::path& file) {
  Chain chain;
  chain.add(file);
  return flattened(read_json(file), file.string(), file.parent_path(), chain);
}

}  // namespace templora
