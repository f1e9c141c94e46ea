#include <cstdlib>

#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

const std::string kCommit = "89abcdef0123456789abcdef0123456789abcdef";

/// Moves the world's model into a cache as Hugging Face's tools make it: links in a snapshot, files in blobs/.
fs::path move_to_cache(const World& world) {
  const fs::path repository = world.folder / "cache/hub/models--org--tiny";
  const fs::path snapshot = repository / "snapshots" / kCommit;
  fs::create_directories(snapshot);
  fs::create_directories(repository / "blobs");
  fs::create_directories(repository / "refs");
  write_file_atomically(repository / "refs" / "main", kCommit);
  int blob = 0;
  for (const auto& entry : fs::directory_iterator(world.folder / "model")) {
    const std::string name = std::to_string(++blob);
    fs::copy(entry.path(), repository / "blobs" / name);
    fs::create_symlink("../../blobs/" + name, snapshot / entry.path().filename());
  }
  fs::remove_all(world.folder / "model");
  return snapshot;
}

Ended run(const World& world, const std::vector<std::string>& arguments) {
  const std::string home = (world.folder / "cache").string();
  return world.run(arguments, [&] {
    ::unsetenv("HF_HUB_CACHE");
    ::unsetenv("HUGGINGFACE_HUB_CACHE");
    ::setenv("HF_HOME", home.c_str(), 1);
  });
}

}  // namespace

TEST_CASE("templora run: a repository of the local cache gives the bits of the same folder", "[cli]") {
  const World world;
  REQUIRE(world.run_config("folder").code == 0);
  const fs::path snapshot = move_to_cache(world);
  const Ended ended = run(world, {"run", "config.json", "--out", "hub", "--set", "model.path=org/tiny"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(world.content("hub/nll/0-lora.f32") == world.content("folder/nll/0-lora.f32"));
  const Json record = Json::parse(world.content("hub/run.json"));
  CHECK(record["config"]["model"]["path"] == snapshot.string());
  CHECK(record["model_repository"] == Json{{"name", "org/tiny"}, {"commit", kCommit}});
  CHECK_FALSE(Json::parse(world.content("folder/run.json")).contains("model_repository"));
  const Json other = Json::parse(world.content("folder/run.json"));
  for (const char* same : {"weights_hash", "model_config_hash", "tokenizer_hash"})
    CHECK(record["identity"][same] == other["identity"][same]);
  // The record needs no cache: what it names is a folder.
  CHECK(run(world, {"verify", "hub"}).code == 0);
}

TEST_CASE("templora: a repository that is not there ends in one line with the command that fetches it", "[cli]") {
  const World world;
  move_to_cache(world);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"run", "config.json", "--set", "model.path=org/other@v1"},
        std::vector<std::string>{"generate", "--model", "org/other@v1", "--prompt", "The"}}) {
    const Ended ended = run(world, arguments);
    INFO(ended.text);
    CHECK(ended.code == 3);
    CHECK(ended.says("`hf download org/other --revision v1` fetches it"));
    CHECK(ended.lines() == 1);
  }
  CHECK_FALSE(fs::exists(world.folder / "runs"));
}

TEST_CASE("templora run: a model that get-model makes is named with that command where it is missing", "[cli]") {
  const World world;
  world.refuses({"run", "config.json", "--set", "model.path=models/smollm2-135m"}, 3,
                "./scripts/get-model smollm2-135m gets SmolLM2-135M");
}
