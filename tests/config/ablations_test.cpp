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

TEST_CASE("configs/sweeps/ablations.json: its points are the configs of configs/ablations", "[unit]") {
  const std::string file = (kConfigs / "sweeps" / "ablations.json").string();
  const Json sweep = parse_json(read_file(file), file);
  const Json& group = sweep.at("zip").at(0);
  const auto points = sweep.at("notes").at("points").get<std::vector<std::string>>();
  std::set<std::string> swept;
  for (const auto& [key, values] : group.items()) {
    swept.insert(key);
    REQUIRE(values.size() == points.size());
  }
  const Json base = config_of("temp-lora");
  for (std::size_t i = 0; i < points.size(); ++i) {
    const Json config = config_of(points[i]);
    for (const auto& [key, values] : group.items()) {
      INFO(points[i] << " " << key);
      CHECK(at_key(config, key) == values.at(i));
    }
    // What the sweep does not set is the base's, but for the axis and the notes.
    for (const auto& [section, fields] : config.items()) {
      if (!fields.is_object() || section == "notes") continue;
      for (const auto& [name, value] : fields.items()) {
        const std::string key = section + "." + name;
        INFO(points[i] << " " << key);
        if (swept.count(key) == 0 && key != "train.learning_rate") CHECK(value == base.at(section).at(name));
      }
    }
  }
}
