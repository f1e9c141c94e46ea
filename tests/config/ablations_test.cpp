#include <algorithm>
#include <set>

#include "catch.h"
#include "config/config.h"
#include "core/file.h"
#include "core/json.h"

using namespace templora;

namespace {

const fs::path kConfigs = fs::path(TEMPLORA_SOURCE_DIR) / "configs";

Json config_of(const std::string& name) {
  return load_config((kConfigs / "ablations" / (name + ".json")).string(), {}).effective;
}

const Json& at_key(const Json& config, const std::string& key) {
  const std::size_t dot = key.find('.');
  if (dot == std::string::npos) return config.at(key);
  return config.at(key.substr(0, dot)).at(key.substr(dot + 1));
}

}  // namespace

TEST_CASE("configs/ablations: every config can be read and says what it is", "[unit]") {
  std::size_t count = 0;
  for (const auto& entry : fs::directory_iterator(kConfigs / "ablations")) {
    INFO(entry.path().string());
    const LoadedConfig loaded = load_config(entry.path().string(), {});
    CHECK(loaded.effective.at("notes").contains("what"));
    ++count;
  }
  CHECK(count >= 20);
}

TEST_CASE("configs/sweeps: points of the sweeps of ablations are the configs of configs/ablations", "[unit]") {
  for (const char* name : {"ablations", "screening"}) {
    const std::string file = (kConfigs / "sweeps" / (std::string(name) + ".json")).string();
    const Json sweep = parse_json(read_file(file), file), constants = sweep.value("set", Json::object());
    const Json base = config_of("temp-lora");
    CHECK(sweep.at("base") == "../ablations/temp-lora.json");
    REQUIRE(sweep.at("points").size() > 20);
    for (const auto& [point, keys] : sweep.at("points").items()) {
      const Json config = config_of(point);
      for (const auto& [key, value] : keys.items()) {
        INFO(name << " " << point << " " << key);
        CHECK(at_key(config, key) == value);
      }
      // What a point does not set is the base's, but for the sweep's axis and constants, and the notes.
      for (const auto& [section, fields] : config.items()) {
        if (section == "notes") continue;
        if (!fields.is_object()) {
          INFO(name << " " << point << " " << section);
          if (!keys.contains(section)) CHECK(fields == base.at(section));
          continue;
        }
        for (const auto& [field, value] : fields.items()) {
          const std::string key = section + "." + field;
          INFO(name << " " << point << " " << key);
          const bool swept = sweep.value("axes", Json::object()).contains(key) || name == std::string("screening");
          if (keys.contains(key) || constants.contains(key) || (key == "train.learning_rate" && swept)) continue;
          if (keys.contains("lora.update") && (field == "rank" || field == "alpha" || field == "dropout")) continue;
          CHECK(value == base.at(section).at(field));
        }
      }
    }
  }
}
