#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "config/config_fields.h"
#include "config/config_inputs.h"
#include "config/key_hints.h"

namespace templora {
namespace {

/// A value as a message shows it: compact and short.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr std::size_t kLongest = 60;
  if (text.size() > kLongest) {
    std::size_t end = kLongest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole UTF-8 characters only
    text = text.substr(0, end) + "...";
  }
  return text;
}

template <class S>
void collect_keys(S& section, const std::string& parent, std::vector<std::string>& keys) {
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo&) {
    const std::string key = dotted(parent, name);
    keys.push_back(key);
    if constexpr (Section<std::remove_reference_t<decltype(member)>>) collect_keys(member, key, keys);
  });
}

/// All keys and the sections that they are in.
const std::vector<std::string>& known_keys() {
  static const auto all = [] {
    Config config;
    std::vector<std::string> keys;
    collect_keys(config, "", keys);
    return keys;
  }();
  return all;
}

void refuse_unknown(Mistakes& mistakes, const std::string& key, const std::string& name) {
  if (mistakes.full()) return mistakes.add(key, "");
  const KeyHint hint = hint_for(key, known_keys());
  const bool flat = name.find('.') != std::string::npos;
  mistakes.meant(hint.key);
  const char* nested = flat ? " (sections are nested objects in a file)" : "";
  mistakes.add(key, fmt::format("unknown key; {}{}", hint.text(), nested));
}

/// One reader for every kind of field: notes what is wrong in terms of the key it was made for, and leaves the field as
/// it was.
struct FieldReader {
  Mistakes& mistakes;
  const std::string& key;
  const FieldInfo& info;

  void refuse(const std::string& got, const std::string& wanted) const {
    mistakes.add(key, fmt::format("got {}, wanted {}", got, wanted));
  }

  bool in_range(double value, const Json& json) const {
    const bool beyond = value < info.min || value > info.max || (info.above_min && value == info.min);
    if (beyond) refuse(shown(json), "a number " + range_text(info));
    return !beyond;
  }

  void read(const Json& json, bool& out) const {
    if (!json.is_boolean()) return refuse(shown(json), "true or false");
    out = json.get<bool>();
  }

  void read(const Json& json, std::int64_t& out) const {
    const bool too_big = json.is_number_unsigned() &&
                         json.get<std::uint64_t>() > std::uint64_t{std::numeric_limits<std::int64_t>::max()};
    if (!json.is_number_integer() || too_big) {
      const std::string range = range_text(info);
      return refuse(shown(json), range.empty() ? "an integer" : "an integer " + range);
    }
    const auto value = json.get<std::int64_t>();
    if (in_range(static_cast<double>(value), json)) out = value;
  }

  void read(const Json& json, double& out) const {
    if (!json.is_number() || !std::isfinite(json.get<double>())) return refuse(shown(json), "a number");
    if (in_range(json.get<double>(), json)) out = json.get<double>();
  }

  void read(const Json& json, std::string& out) const {
    if (!json.is_string()) return refuse(shown(json), "a string");
    if (json.get_ref<const std::string&>().empty()) return refuse("an empty string", "a non-empty string");
    out = json.get<std::string>();
  }

  // A number may come as text, as from a shell.
  void read(const Json& json, History& out) const {
    Json number = json;
    if (json == "reference" || json == "own") number = json == "own" ? 0 : 1;
    try {
      if (number.is_string()) number = parse_json(number.get_ref<const std::string&>(), key);
    } catch (const Error&) {  // refused below
    }
    if (!number.is_number() || !(number.get<double>() >= info.min && number.get<double>() <= info.max))
      return refuse(shown(json), "\"reference\", \"own\" or a probability " + range_text(info));
    out.reference_share = number.get<double>();
  }

  template <NamedEnum E>
  void read(const Json& json, E& out) const {
    if (json.is_string())
      for (const auto& [name, value] : EnumNames<E>::values)
        if (json.get_ref<const std::string&>() == name) {
          out = value;
          return;
        }
    refuse(shown(json), "one of " + enum_name_list<E>());
  }

  template <class T>
  void read(const Json& json, std::vector<T>& out) const {
    out.clear();
    if constexpr (NamedEnum<T>) {  // one name stands for an array of it
      if (json.is_string()) return read(json, out.emplace_back());
      if (!json.is_array())
        return refuse(shown(json), fmt::format("one of {} or an array of them", enum_name_list<T>()));
    }
    if (!json.is_array())
      return refuse(shown(json), std::is_same_v<T, std::string> ? "an array of strings" : "an array of integers");
    for (std::size_t i = 0; i < json.size(); ++i) {
      const std::string item = fmt::format("{}[{}]", key, i);
      FieldReader{mistakes, item, info}.read(json[i], out.emplace_back());
    }
  }

  template <class T>
  void read(const Json& json, std::optional<T>& out) const {
    if (json.is_null())
      out.reset();
    else if constexpr (std::is_same_v<T, Json>)
      out = json;
    else
      read(json, out.emplace());
  }
};

template <Section S>
void read_section(const Json& json, S& section, const std::string& path, Mistakes& mistakes) {
  if (!json.is_object())
    return mistakes.add(path.empty() ? "the config" : path, fmt::format("got {}, wanted an object", shown(json)));
  std::vector<std::string> known;
  visit_fields(section, [&](const char* name, auto&, const FieldInfo&) { known.emplace_back(name); });
  for (const auto& item : json.items())
    if (std::find(known.begin(), known.end(), item.key()) == known.end())
      refuse_unknown(mistakes, dotted(path, item.key()), item.key());
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo& info) {
    const auto found = json.find(name);
    if (found == json.end()) return;
    const std::string key = dotted(path, name);
    if constexpr (Section<std::remove_reference_t<decltype(member)>>)
      read_section(*found, member, key, mistakes);
    else
      FieldReader{mistakes, key, info}.read(*found, member);
  });
}

}  // namespace

void read_config(const Json& json, Config& config, Mistakes& mistakes) { read_section(json, config, "", mistakes); }

void require_config_key(const std::string& key, const std::string& where) {
  const std::vector<std::string>& keys = known_keys();
  if (std::find(keys.begin(), keys.end(), key) == keys.end())
    throw Error(Exit::usage,
                fmt::format("{}: {}: unknown key; {}", where, printable(key), hint_for(key, keys).text()));
  const auto& leaves = config_keys();
  if (std::none_of(leaves.begin(), leaves.end(), [&](const auto& leaf) { return leaf.first == key; }))
    throw Error(Exit::usage, fmt::format("{}: {}: got the name of a section, wanted one of its keys, {}.…", where, key,
                                         key));
}

Json* find_key(Json& config, const std::string& key) {
  Json* at = &config;
  for (std::size_t start = 0; start != std::string::npos;) {
    const std::size_t dot = key.find('.', start);
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key.substr(start, dot == std::string::npos ? dot : dot - start));
    if (found == at->end()) return nullptr;
    at = &*found;
    start = dot == std::string::npos ? dot : dot + 1;
  }
  return at;
}

void erase_key(Json& config, const std::string& key) {
  if (find_key(config, key) == nullptr) return;
  const std::size_t dot = key.rfind('.');
  if (dot == std::string::npos) return static_cast<void>(config.erase(key));
  Json& section = *find_key(config, key.substr(0, dot));
  section.erase(key.substr(dot + 1));
  if (section.empty()) erase_key(config, key.substr(0, dot));
}

const std::vector<std::pair<std::string, FieldInfo>>& config_keys() {
  static const auto keys = [] {
    std::vector<std::pair<std::string, FieldInfo>> all;
    Config config;
    visit_leaves(config, "",
                 [&](const std::string& key, auto&, const FieldInfo& info) { all.emplace_back(key, info); });
    return all;
  }();
  return keys;
}

std::string experiment_names(Experiments experiments) {
  if (experiments == kAnyExperiment) return "all";
  std::string names;
  for (const auto& [name, kind] : EnumNames<ExperimentKind>::values)
    if ((experiments & only(kind)) != 0) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

bool is_recorded(const FieldInfo& input, const Json& identity) {
  for (const std::string_view name : {input.recorded, input.also_recorded})
    for (const auto& item : identity.items())
      if (!name.empty() && item.key().starts_with(name)) return true;
  return false;
}

Experiments recorded_experiment(const Json& effective) {
  const auto found = effective.is_object() ? effective.find("experiment") : effective.end();
  if (found != effective.end())
    for (const auto& [name, kind] : EnumNames<ExperimentKind>::values)
      if (*found == std::string(name)) return only(kind);
  return kAnyExperiment;
}

Json with_later_keys(Json config) {
  if (!config.is_object()) return config;
  Json defaults = config_defaults();
  for (const auto& [key, info] : config_keys()) {
    if (!info.new_key || find_key(config, key) != nullptr) continue;
    const std::size_t dot = key.find('.');
    Json& section = dot == std::string::npos ? config : config[key.substr(0, dot)];
    if (section.is_null() || section.is_object()) section[key.substr(dot + 1)] = *find_key(defaults, key);
  }
  return config;
}

Json config_defaults() {
  Config config;
  return section_json(config);
}

bool takes_text(const std::string& key) {
  Config config;
  bool text = false;
  visit_leaves(config, "", [&](const std::string& name, auto& member, const FieldInfo&) {
    using Value = typename OptionalOf<std::remove_reference_t<decltype(member)>>::Value;
    if (name == key && (std::is_same_v<Value, std::string> || NamedEnum<Value>)) text = true;
  });
  return text;
}

std::string range_text(const FieldInfo& info) {
  const bool low = std::isfinite(info.min), high = std::isfinite(info.max);
  const std::string unit = *info.unit ? fmt::format(" {}", info.unit) : "";
  const auto number = [](double value) {
    return value == std::floor(value) && std::abs(value) < 1e15 ? fmt::format("{:.0f}", value)
                                                                : fmt::format("{}", value);
  };
  if (low && high)
    return fmt::format("{} {} {} {}{}", info.above_min ? "above" : "from", number(info.min),
                       info.above_min ? "and at most" : "to", number(info.max), unit);
  if (low) return fmt::format("{} {}{}", info.above_min ? "above" : "of at least", number(info.min), unit);
  if (high) return fmt::format("of at most {}{}", number(info.max), unit);
  return "";
}

}  // namespace templora
