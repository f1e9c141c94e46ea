#include "sweep/definition.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "config/config_file.h"
#include "config/config_inputs.h"
#include "core/json_comments.h"
#include "core/nearest.h"
#include "sweep/sweep_schema.h"

namespace templora {
namespace {

[[noreturn]] void refuse(const std::string& where, const std::string& key, const std::string& what) {
  throw Error(Exit::usage, fmt::format("{}: {}: {}", where, printable(key), what));
}

/// Reads a sweep file into a definition; every key may be set in one place only.
class Reader {
 public:
  explicit Reader(SweepDefinition& sweep) : sweep_(sweep), where_(sweep.file.string()) {}

  void read() {
    if (!sweep_.source.is_object())
      throw Error(Exit::usage, fmt::format("{}: got no object, wanted one, {{...}}", where_));
    sweep_.source.erase("$schema");  // the editor's
    const Json& json = sweep_.source;
    const std::vector<std::string> known = sweep_file_keys();
    for (const auto& item : json.items())
      if (std::find(known.begin(), known.end(), item.key()) == known.end())
        refuse(where_, item.key(),
               fmt::format("unknown key; the nearest known key is {}", nearest_name(item.key(), known)));
    sweep_.name = sweep_.file.stem().string();
    if (json.contains("name")) read_name(json["name"]);
    if (!json.contains("base")) refuse(where_, "base", "got nothing, wanted a config: its path, or an object");
    read_base(json["base"]);
    if (json.contains("axes")) read_axes(json["axes"]);
    if (json.contains("zip")) read_zip(json["zip"]);
    if (json.contains("points")) read_points(json["points"]);
    if (json.contains("seeds")) read_seeds(json["seeds"]);
    if (json.contains("set")) read_set(json["set"]);
    if (json.contains("where")) read_where(json["where"]);
    if (json.contains("slurm")) sweep_.slurm = read_slurm_settings(json["slurm"], where_);
    sweep_.combinations();
  }

 private:
  void read_name(const Json& json) {
    const std::string name = json.is_string() ? json.get<std::string>() : "";
    const bool taken = name.empty() || name == "." || name == ".." || name == "cells";  // "cells" is where cells lie
    const bool plain =
        std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < ' ' || c == '/' || c == 127; });
    if (taken || !plain || name.size() > 200)
      refuse(
          where_, "name",
          "wanted a text that can be a folder's name: no /, no control characters, at most 200 bytes, not \"cells\"");
    sweep_.name = json.get<std::string>();
  }

  void read_base(const Json& json) {
    sweep_.base_where = where_ + ": base";
    sweep_.base_folder = fs::absolute(sweep_.file).parent_path();
    if (json.is_object()) {
      sweep_.base = flat_config(json, sweep_.base_where, sweep_.base_folder).json;
      return;
    }
    if (!json.is_string()) refuse(where_, "base", "got no object, wanted a config: its path, or an object");
    const fs::path path = (sweep_.base_folder / json.get<std::string>()).lexically_normal();
    sweep_.base_where = path.string();
    sweep_.base_folder = path.parent_path();
    try {
      sweep_.base = read_flat_config(path).json;
    } catch (const Error& error) {
      throw Error(Exit::usage, fmt::format("{}: base: {}", where_, error.what()));
    }
  }

  // A key may be set in one place only.
  void claim(const std::string& key, const std::string& place) {
    require_config_key(key, where_ + ": " + place);
    const auto [there, is_new] = places_.emplace(key, place);
    if (is_new) return;
    if (there->second == place) refuse(where_ + ": " + place, key, "stands twice, wanted it once");
    refuse(where_ + ": " + place, key, fmt::format("is in {} too, wanted it in one of the two", there->second));
  }

  std::vector<Json> values_of(const Json& json, const std::string& place, const std::string& key) const {
    if (!json.is_array()) refuse(where_ + ": " + place, key, "wanted an array of values");
    if (json.empty()) refuse(where_ + ": " + place, key, "got no values, wanted at least one: the grid is empty");
    return std::vector<Json>(json.begin(), json.end());
  }

  void require_distinct(const Dimension& dimension, const std::string& place) const {
    std::set<std::string> seen;
    for (const auto& point : dimension.points) {
      Json values = Json::array();
      for (const auto& [key, value] : point) values.push_back(value);
      const std::string shown = dump_json(values, where_);
      if (!seen.insert(shown).second)
        refuse(where_ + ": " + place, point.front().first,
               fmt::format("{} stands twice, wanted each value once", shown));
    }
  }

  void read_axes(const Json& json) {
    if (!json.is_object()) refuse(where_, "axes", "wanted an object, config key to array of values");
    for (const auto& item : json.items()) {
      claim(item.key(), "axes");
      Dimension axis;
      for (Json& value : values_of(item.value(), "axes", item.key()))
        axis.points.push_back({{item.key(), std::move(value)}});
      require_distinct(axis, "axes");
      sweep_.dimensions.push_back(std::move(axis));
    }
  }

  void read_zip(const Json& json) {
    if (!json.is_array())
      refuse(where_, "zip", "wanted an array of groups, each an object of config key to array of values");
    for (std::size_t group = 0; group < json.size(); ++group) {
      const std::string place = fmt::format("zip[{}]", group);
      if (!json[group].is_object() || json[group].empty())
        refuse(where_, place, "wanted an object of config key to array of values");
      Dimension together;
      for (const auto& item : json[group].items()) {
        claim(item.key(), place);
        const std::vector<Json> values = values_of(item.value(), place, item.key());
        if (together.points.empty()) together.points.resize(values.size());
        if (values.size() != together.points.size())
          refuse(where_ + ": " + place, item.key(),
                 fmt::format("got {} values, wanted {} as {} has", values.size(), together.points.size(),
                             together.points[0][0].first));
        for (std::size_t i = 0; i < values.size(); ++i) together.points[i].emplace_back(item.key(), values[i]);
      }
      require_distinct(together, place);
      sweep_.dimensions.push_back(std::move(together));
    }
  }

  // Points differ in whatever keys they set; what one leaves out stays as the base has it.
  void read_points(const Json& json) {
    if (!json.is_object() || json.empty())
      refuse(where_, "points", "wanted an object, a point's name to an object of config keys to values");
    Dimension points;
    std::map<std::string, std::string> names;  // by what they set
    for (const auto& item : json.items()) {
      const std::string place = "points: " + printable(item.key());
      if (item.key().empty() || item.key().size() > 100 || printable(item.key()) != item.key())
        refuse(where_, place, "wanted a name of 1 to 100 bytes without control characters");
      if (!item.value().is_object()) refuse(where_, place, "wanted an object of config keys to values");
      const auto [same, is_new] = names.emplace(dump_json(item.value(), where_), item.key());
      if (!is_new) refuse(where_, place, fmt::format("sets what {} sets, wanted each point once", same->second));
      CellValues& point = points.points.emplace_back();
      point.emplace_back(kPointKey, item.key());
      for (const auto& set : item.value().items()) {
        if (sweep_.point_keys.insert(set.key()).second) claim(set.key(), "points");
        point.emplace_back(set.key(), set.value());
      }
    }
    sweep_.dimensions.push_back(std::move(points));
  }

  void read_seeds(const Json& json) {
    claim("seed", "seeds");
    Dimension seeds;
    for (Json& value : values_of(json, "seeds", "seeds")) seeds.points.push_back({{"seed", std::move(value)}});
    require_distinct(seeds, "seeds");
    sweep_.dimensions.push_back(std::move(seeds));
  }

  Expression expression(const std::string& text, const std::string& place) const {
    Expression read(text, where_ + ": " + place);
    for (const std::string& key : read.keys())
      require_config_key(key, fmt::format("{}: {}: \"{}\"", where_, place, printable(text)));
    return read;
  }

  void read_set(const Json& json) {
    if (!json.is_object()) refuse(where_, "set", "wanted an object, config key to expression");
    std::map<std::string, ComputedKey> left;
    std::vector<std::string> order;
    for (const auto& item : json.items()) {
      claim(item.key(), "set");
      ComputedKey computed{item.key(), Json(item.value())};
      if (item.value().is_string()) computed.value = expression(item.value().get<std::string>(), "set." + item.key());
      left.emplace(item.key(), std::move(computed));
      order.push_back(item.key());
    }
    // Each after those that it names; what is never ready names itself in a circle.
    while (!left.empty()) {
      const auto ready = std::find_if(order.begin(), order.end(), [&](const std::string& key) {
        const auto found = left.find(key);
        if (found == left.end()) return false;
        const auto* computed = std::get_if<Expression>(&found->second.value);
        return !computed || std::none_of(computed->keys().begin(), computed->keys().end(),
                                         [&](const std::string& other) { return left.contains(other); });
      });
      if (ready == order.end())
        refuse(where_ + ": set", left.begin()->first, "is computed from itself, by way of other keys or none");
      sweep_.computed.push_back(std::move(left.at(*ready)));
      left.erase(*ready);
    }
  }

  void read_where(const Json& json) {
    const Json conditions = json.is_string() ? Json::array({json}) : json;
    if (!conditions.is_array()) refuse(where_, "where", "wanted an array of conditions");
    for (std::size_t i = 0; i < conditions.size(); ++i) {
      const std::string place = fmt::format("where[{}]", i);
      if (!conditions[i].is_string()) refuse(where_, place, "wanted a condition as text");
      sweep_.conditions.push_back(expression(conditions[i].get<std::string>(), place));
    }
  }

  SweepDefinition& sweep_;
  std::string where_;
  std::map<std::string, std::string> places_;
};

Json::json_pointer pointer(const std::string& key) {
  std::string path = "/" + key;
  std::replace(path.begin(), path.end(), '.', '/');
  return Json::json_pointer(path);
}

/// Keys' values in one cell: as set there, else as the base has it, else the default.
class Lookup {
 public:
  explicit Lookup(const SweepDefinition& sweep) : sweep_(sweep), defaults_(config_defaults()) {}

  Json operator()(const CellValues& values, const std::string& key) const {
    for (const auto& [name, value] : values)
      if (name == key) return value;
    return value_of_key(sweep_.base, defaults_, key);
  }

 private:
  const SweepDefinition& sweep_;
  Json defaults_;
};

}  // namespace

Json value_of_key(const Json& config, const Json& defaults, const std::string& key) {
  const Json::json_pointer place = pointer(key);
  return config.contains(place) ? config.at(place) : defaults.at(place);
}

std::int64_t SweepDefinition::combinations() const {
  std::int64_t count = 1;
  for (const Dimension& dimension : dimensions) {
    const auto points = std::int64_t(dimension.points.size());
    if (count > kMostCells / points) {
      double all = 1;
      for (const Dimension& factor : dimensions) all *= double(factor.points.size());
      throw Error(Exit::usage,
                  fmt::format("{}: axes: got a grid of {:.0f} cells, wanted at most {}; `where` is applied later: use "
                              "fewer values, or zip",
                              file.string(), all, kMostCells));
    }
    count *= points;
  }
  return count;
}

SweepDefinition read_sweep_definition(const fs::path& file) {
  SweepDefinition sweep;
  sweep.file = file;
  try {
    sweep.source = parse_commented_json(read_file(file), file.string());
  } catch (const Error& error) {
    throw Error(Exit::usage, error.what());
  }
  Reader(sweep).read();
  return sweep;
}

std::vector<CellValues> expand(const SweepDefinition& sweep) {
  const Lookup lookup(sweep);
  const std::int64_t count = sweep.combinations();
  std::vector<CellValues> cells;
  std::vector<std::size_t> at(sweep.dimensions.size(), 0);
  for (std::int64_t i = 0; i < count; ++i) {
    CellValues values;
    for (std::size_t d = 0; d < at.size(); ++d) {
      const CellValues& point = sweep.dimensions[d].points[at[d]];
      values.insert(values.end(), point.begin(), point.end());
    }
    for (const ComputedKey& computed : sweep.computed) {
      const auto* expression = std::get_if<Expression>(&computed.value);
      Json value = expression ? expression->value([&](const std::string& key) { return lookup(values, key); })
                              : std::get<Json>(computed.value);
      values.emplace_back(computed.key, std::move(value));
    }
    const bool kept = std::all_of(sweep.conditions.begin(), sweep.conditions.end(), [&](const Expression& condition) {
      return condition.holds([&](const std::string& key) { return lookup(values, key); });
    });
    if (kept) cells.push_back(std::move(values));
    for (std::size_t d = at.size(); d-- > 0;) {  // the next combination
      if (++at[d] < sweep.dimensions[d].points.size()) break;
      at[d] = 0;
    }
  }
  if (cells.empty())
    throw Error(Exit::usage,
                fmt::format("{}: where: none of {} combinations is left, wanted at least one: the grid is empty",
                            sweep.file.string(), count));
  return cells;
}

LoadedConfig cell_config(const SweepDefinition& sweep, const CellValues& values, std::int64_t threads) {
  Json config = sweep.base;
  const auto put = [&](const std::string& key, const Json& value) {
    const std::size_t dot = key.find('.');
    if (dot != std::string::npos && config.contains(key.substr(0, dot)) && !config[key.substr(0, dot)].is_object())
      refuse(sweep.base_where, key.substr(0, dot), "wanted an object");
    config[pointer(key)] = value;
  };
  std::string shown;
  for (const auto& [key, value] : values) {
    if (key != kPointKey) put(key, value);
    shown += fmt::format("{}{}={}", shown.empty() ? "" : " ", key, dump_json(value, "value"));
  }
  const std::string where =
      shown.empty() ? sweep.base_where : fmt::format("{} with {}", sweep.base_where, printable(shown, 300));
  const auto parse = [&] { return parse_config(dump_json(config, where), where, sweep.base_folder.string(), {}); };
  LoadedConfig loaded = parse();
  if (loaded.config.run.threads != 0) return loaded;
  put("run.threads", threads);
  return parse();
}

}  // namespace templora
