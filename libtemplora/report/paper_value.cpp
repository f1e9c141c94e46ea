#include "report/paper_value.h"

namespace templora {
namespace {

const Json* member(const Json* json, const std::string& name) {
  if (json == nullptr || !json->is_object()) return nullptr;
  const auto found = json->find(name);
  return found == json->end() ? nullptr : &*found;
}

const Json* notes_of(const Json& run_record) { return member(member(&run_record, "config"), "notes"); }

std::string joined_versions(const Json& run_record, const char* between) {
  const Json* versions = member(notes_of(run_record), "paper_version");
  std::string out;
  if (versions != nullptr && versions->is_string()) out = versions->get<std::string>();
  if (versions != nullptr && versions->is_array())
    for (const Json& version : *versions)
      if (version.is_string()) out += (out.empty() ? "" : between) + version.get<std::string>();
  return out;
}

std::optional<double> number(const Json& json) {
  return json.is_number() ? std::optional(json.get<double>()) : std::nullopt;
}

}  // namespace

std::string paper_versions(const Json& run_record) { return joined_versions(run_record, ", "); }

std::vector<PaperValue> paper_value(const Json& run_record, const std::vector<std::string>& path) {
  const Json* at = notes_of(run_record);
  for (const std::string& name : path) at = member(at, name);
  std::vector<PaperValue> values;
  if (at == nullptr) return values;
  if (at->is_object()) {
    for (const auto& [version, value] : at->items())
      if (value.is_number() || value.is_null()) values.push_back({version, number(value)});
  } else if (at->is_number() || at->is_null()) {
    values.push_back({joined_versions(run_record, "/"), number(*at)});
  }
  return values;
}

std::vector<PaperValue> paper_change(const Json& run_record, const std::string& segment) {
  const std::string name = segment == "all" ? "mean" : segment;
  const auto own = paper_value(run_record, {"paper_value", name, "change_percent"});
  if (!own.empty()) return own;
  std::vector<PaperValue> values;
  const Json* by_version = member(notes_of(run_record), "paper_change_percent_over_all_models");
  if (by_version != nullptr && by_version->is_object())
    for (const auto& [version, segments] : by_version->items())
      if (const Json* value = member(&segments, name)) values.push_back({version, number(*value)});
  return values;
}

}  // namespace templora
