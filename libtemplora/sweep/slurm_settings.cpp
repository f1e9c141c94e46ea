#include "sweep/slurm_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <type_traits>

#include "core/nearest.h"
#include "sweep/slurm_keys.h"

namespace templora {
namespace {

[[noreturn]] void refuse_setting(const std::string& where, const std::string& key, const std::string& wanted) {
  throw Error(Exit::usage, fmt::format("{}: slurm.{}: wanted {}", where, printable(key), wanted));
}

// Lines go into a script as they are: a line end inside would begin another one.
std::string one_line(const Json& value, const std::string& where, const std::string& key) {
  if (!value.is_string() || value.get_ref<const std::string&>().find_first_of("\n\r") != std::string::npos)
    refuse_setting(where, key, "a text of one line");
  return value.get<std::string>();
}

void read(const Json& value, const std::string& where, const std::string& key, std::string& out) {
  out = value.is_number_integer() ? value.dump() : one_line(value, where, key);  // gpus: 1, time_limit: 90 (minutes)
}

void read(const Json& value, const std::string& where, const std::string& key, std::int64_t& out) {
  if (!value.is_number_integer() || value.get<std::int64_t>() < 1 || value.get<std::int64_t>() > kMostOfSlurm)
    refuse_setting(where, key, fmt::format("an integer from 1 to {}", kMostOfSlurm));
  out = value.get<std::int64_t>();
}

void read(const Json& value, const std::string& where, const std::string& key, std::vector<std::string>& out) {
  if (!value.is_array()) refuse_setting(where, key, "an array of texts");
  for (const Json& line : value) out.push_back(one_line(line, where, key));
}

}  // namespace

SlurmSettings read_slurm_settings(const Json& json, const std::string& where) {
  SlurmSettings settings;
  if (!json.is_object()) throw Error(Exit::usage, fmt::format("{}: slurm: wanted an object", where));
  std::vector<std::string> known;
  visit_slurm(settings, [&](const char* name, auto& member) {
    known.push_back(name);
    const auto found = json.find(name);
    if (found != json.end()) read(*found, where, name, member);
  });
  for (const auto& item : json.items())
    if (std::find(known.begin(), known.end(), item.key()) == known.end())
      throw Error(Exit::usage, fmt::format("{}: slurm.{}: unknown key; the nearest known key is {}", where,
                                           printable(item.key()), nearest_name(item.key(), known)));
  return settings;
}

Json to_json(const SlurmSettings& settings) {
  Json json = Json::object();
  visit_slurm(settings, [&](const char* name, const auto& member) {
    if constexpr (std::is_same_v<decltype(member), const std::int64_t&>) {
      if (member > 0) json[name] = member;
    } else {
      if (!member.empty()) json[name] = member;
    }
  });
  return json;
}

}  // namespace templora
