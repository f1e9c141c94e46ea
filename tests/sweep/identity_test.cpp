#include <cstdlib>
#include <fstream>

#include "catch.h"
#include "config/config_inputs.h"
#include "core/file.h"
#include "core/fixtures.h"
#include "sweep/definition.h"

using namespace templora;

namespace {

// As 0.1 made them (commit 846bc07). A hash that changes makes finished runs and cells of users worthless, so these
// are never made anew: with TEMPLORA_ADD_GOLDENS=1 the test adds what is new in configs/ and changes nothing else.
const fs::path kGoldens = fs::path(TEMPLORA_SOURCE_DIR) / "tests/goldens/identity.json";

constexpr const char* kKinds[] = {"config", "sweep", "config_now", "sweep_now"};

/// The shipped configs as on a machine of the founders: the texts of ../shared/data beside the tree, none in its data/
/// (LoadedConfig::config looks for texts in both).
struct Tree {
  templora_test::TempFolder outer;
  fs::path root = outer / "main";

  Tree() {
    for (const char* folder : {"main", "shared/data/pg19", "shared/data/pretrain", "shared/data/guofeng"})
      fs::create_directories(outer / folder);
    fs::copy(fs::path(TEMPLORA_SOURCE_DIR) / "configs", root / "configs", fs::copy_options::recursive);
  }
};

/// The key of a config whose inputs are known by their place in the tree alone: no text or weight is needed.
std::string hashed_key(const Config& config, const fs::path& root, HashForm form) {
  const auto stub = [&root](const char* kind) {
    return [kind, &root](const std::string& path) {
      return std::string(kind) + " " + fs::path(path).lexically_relative(root).generic_string();
    };
  };
  return input_hash(config, {stub("model"), stub("tokenizer"), stub("texts"), stub("path")}, form).substr(0, 20);
}

/// {"config": {file: [hash, key]}, "sweep": {file: [key of each cell]}} of all shipped configs, as 0.1 made them and as
/// a run and a cell are found still; and "config_now", "sweep_now", what they are now where that is something else.
Json identities() {
  Json found;
  for (const char* kind : kKinds) found[kind] = Json::object();
  const Tree tree;
  const fs::path configs = tree.root / "configs";
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(configs))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    const std::string name = file.lexically_relative(configs).generic_string();
    if (file.parent_path().filename() == "sweeps") {
      const SweepDefinition sweep = read_sweep_definition(file);
      for (const CellValues& values : expand(sweep)) {
        const Config config = cell_config(sweep, values, 1).config;
        found["sweep"][name].push_back(hashed_key(config, tree.root, HashForm::of_0_1));
        found["sweep_now"][name].push_back(hashed_key(config, tree.root, HashForm::present));
      }
      if (found["sweep_now"][name] == found["sweep"][name]) found["sweep_now"].erase(name);
    } else {
      const LoadedConfig loaded = load_config(file.string(), {});
      found["config"][name] = {loaded.hash_of_0_1, hashed_key(loaded.config, tree.root, HashForm::of_0_1)};
      found["config_now"][name] = {loaded.hash, hashed_key(loaded.config, tree.root, HashForm::present)};
      if (found["config_now"][name] == found["config"][name]) found["config_now"].erase(name);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("Identity: runs of shipped configs and cells of shipped sweeps are found by the hashes and keys of 0.1",
          "[unit]") {
  const Json found = identities();
  Json wanted = fs::exists(kGoldens) ? parse_json(read_file(kGoldens), kGoldens.string()) : Json::object();
  const char* add = std::getenv("TEMPLORA_ADD_GOLDENS");
  const bool adding = add != nullptr && std::string(add) == "1";
  for (const char* kind : kKinds) {
    for (const auto& item : found.at(kind).items()) {
      INFO(kind << " " << item.key());
      if (adding && !(wanted.contains(kind) && wanted.at(kind).contains(item.key())))
        wanted[kind][item.key()] = item.value();
      REQUIRE(
          (wanted.contains(kind) &&
           wanted.at(kind).contains(item.key())));  // a new config: TEMPLORA_ADD_GOLDENS=1 build/test_sweep Identity*
      CHECK(item.value().dump() == wanted.at(kind).at(item.key()).dump());
    }
  }
  if (adding) std::ofstream(kGoldens) << dump_json_pretty(wanted, "goldens");
}
