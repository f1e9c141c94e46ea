#include "sweep/slurm_settings.h"

#include <fmt/format.h>

#include <functional>
#include <map>

#include "core/nearest.h"

namespace templora {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& key, const std::string& wanted) {
  throw Error(Exit::usage, fmt::format("{}: slurm.{}: wanted {}", where, printable(key), wanted));
}

// Lines go into a script as they are: a line end inside would begin another one.
std::string one_line(const Json& value, const std::string& where, const std::string& key) {
  if (!value.is_string() || value.get_ref<const std::string&>().find_first_of("\n\r") != std::string::npos)
    refuse(where, key, "a text of one line");
  return value.get<std::string>();
}

}  // namespace

SlurmSettings read_slurm_settings(const Json& json, const std::string& where) {
  SlurmSettings settings;
  if (!json.is_object()) throw Error(Exit::usage, fmt::format("{}: slurm: wanted an object", where));
  using Read = std::function<void(const std::string&, const Json&)>;
  const auto text = [&](std::string& out) {
    return Read([&](const std::string& key, const Json& value) {
      out =
          value.is_number_integer() ? value.dump() : one_line(value, where, key);  // gpus: 1, time_limit: 90 (minutes)
    });
  };
  const auto count = [&](std::int64_t& out, std::int64_t least) {
    return Read([&, least](const std::string& key, const Json& value) {
      if (!value.is_number_integer() || value.get<std::int64_t>() < least || value.get<std::int64_t>() > 1000000)
        refuse(where, key, fmt::format("an integer from {} to 1000000", least));
      out = value.get<std::int64_t>();
    });
  };
  const auto lines = [&](std::vector<std::string>& out) {
    return Read([&](const std::string& key, const Json& value) {
      if (!value.is_array()) refuse(where, key, "an array of texts");
      for (const Json& line : value) out.push_back(one_line(line, where, key));
    });
  };
  const std::map<std::string, Read> known{{"partition", text(settings.partition)},
                                          {"account", text(settings.account)},
                                          {"time_limit", text(settings.time_limit)},
                                          {"memory", text(settings.memory)},
                                          {"gpus", text(settings.gpus)},
                                          {"cpus", count(settings.cpus, 1)},
                                          {"tasks", count(settings.tasks, 1)},
                                          {"throttle", count(settings.throttle, 1)},
                                          {"workers", count(settings.workers, 1)},
                                          {"signal_before_s", count(settings.signal_before_s, 1)},
                                          {"options", lines(settings.options)},
                                          {"setup", lines(settings.setup)}};
  for (const auto& item : json.items()) {
    const auto found = known.find(item.key());
    if (found == known.end()) {
      std::vector<std::string> names;
      for (const auto& [name, read] : known) names.push_back(name);
      throw Error(Exit::usage, fmt::format("{}: slurm.{}: unknown key; the nearest known key is {}", where,
                                           printable(item.key()), nearest_name(item.key(), names)));
    }
    found->second(item.key(), item.value());
  }
  return settings;
}

Json to_json(const SlurmSettings& s) {
  Json json = Json::object();
  for (const auto& [key, text] : {std::pair{"partition", &s.partition},
                                  {"account", &s.account},
                                  {"time_limit", &s.time_limit},
                                  {"memory", &s.memory},
                                  {"gpus", &s.gpus}})
    if (!text->empty()) json[key] = *text;
  for (const auto& [key, count] : {std::pair{"cpus", s.cpus},
                                   {"tasks", s.tasks},
                                   {"throttle", s.throttle},
                                   {"workers", s.workers},
                                   {"signal_before_s", s.signal_before_s}})
    if (count > 0) json[key] = count;
  if (!s.options.empty()) json["options"] = s.options;
  if (!s.setup.empty()) json["setup"] = s.setup;
  return json;
}

}  // namespace templora
