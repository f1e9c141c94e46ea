#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

void write_generation_config(const World& world, const std::vector<std::pair<std::string, Json>>& changes = {}) {
  std::vector<std::pair<std::string, Json>> all{{"experiment", "generation"},
                                                {"data", Json::object()},
                                                {"generate.prompt", "The quick brown fox"},
                                                {"generate.tokens", 150},
                                                {"generate.temperature", 1.0},
                                                {"run.save_every_chunks", 1}};
  all.insert(all.end(), changes.begin(), changes.end());
  world.write_config(all);
}

}  // namespace

TEST_CASE("templora run: a generation's folder holds the text, its chunks and their table", "[cli]") {
  const World world;
  write_generation_config(world);
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const std::string text = world.content("out/text.txt");
  CHECK(text.starts_with("The quick brown fox"));
  std::int64_t tokens = 0;
  for (const Json& chunk : world.records("out/chunks.jsonl")) {
    tokens += chunk.at("tokens").get<std::int64_t>();
    CHECK(chunk.at("token_ids").size() == chunk.at("tokens"));
    CHECK(chunk.at("base_nll").is_number());
    CHECK(chunk.at("distinct").size() == 4);
  }
  CHECK(tokens == 150);
  CHECK(world.content("out/table.md").find("repeated 4-grams") != std::string::npos);
  const Json summary = Json::parse(world.content("out/summary.json"));
  CHECK(summary.at("weights_hash_before") == summary.at("weights_hash_after"));
}

TEST_CASE("templora run: a stopped generation goes on to the same text", "[cli]") {
  const World world;
  write_generation_config(world);
  REQUIRE(world.run_config().code == 0);
  const Ended stopped = world.run({"run", "config.json", "--out", "again"}, {}, [&](pid_t child) {
    world.wait_for_chunks("again", 1);
    ::kill(child, SIGTERM);
  });
  REQUIRE(stopped.code == 75);
  const Ended resumed = world.run({"run", "config.json", "--out", "again", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(world.content("again/text.txt") == world.content("out/text.txt"));
}

TEST_CASE("templora generate: a snapshot branches off where it was taken", "[cli]") {
  const World world;
  const std::vector<std::string> common{"--set", "window.chunk_tokens=24", "--set", "train.prefix_tokens=40", "--set", "lora.rank=4",
                                        "--set", "run.threads=1", "--set", "generate.temperature=1"};
  const auto generate = [&](std::vector<std::string> arguments) {
    std::vector<std::string> all{"generate", "--model", "model"};
    all.insert(all.end(), common.begin(), common.end());
    all.insert(all.end(), arguments.begin(), arguments.end());  // the last --set of a key wins
    return world.run(all);
  };
  const Ended whole = generate({"--prompt", "A lazy dog", "--tokens", "120", "--out", "whole", "--set", "generate.snapshot_every_chunks=2"});
  INFO(whole.text);
  REQUIRE(whole.code == 0);
  CHECK(fs::exists(world.folder / "whole/snapshots/2/adapter_model.safetensors"));
  REQUIRE(generate({"--from-snapshot", "whole/snapshots/2", "--tokens", "120", "--out", "branch"}).code == 0);
  CHECK(world.content("branch/text.txt") == world.content("whole/text.txt"));
  REQUIRE(generate({"--from-snapshot", "whole/snapshots/2", "--tokens", "120", "--out", "other", "--set", "generate.temperature=0.2"}).code == 0);
  CHECK(world.content("other/text.txt") != world.content("whole/text.txt"));
  CHECK(world.content("other/text.txt").substr(0, 10) == world.content("whole/text.txt").substr(0, 10));
}

TEST_CASE("templora generate: what cannot be written is refused in one line", "[cli]") {
  const World world;
  const std::vector<std::tuple<std::vector<std::string>, int, std::string>> cases{
      {{"--tokens", "10"}, 2, "generate.prompt"},
      {{"--prompt", "x", "--prompt-file", "book.txt"}, 2, "generate.prompt_file"},
      {{"--prompt-file", "nowhere.txt"}, 3, "nowhere.txt"},
      {{"--from-snapshot", "model"}, 3, "state.json"},
      {{"--prompt", "x", "--set", "window.chunk_tokens=4000"}, 2, "positions"},
      {{"--prompt", "x", "--set", "cache.policy=refill", "--set", "cache.refill_tokens=9999"}, 2, "cache.refill_tokens"}};
  for (const auto& [arguments, code, part] : cases) {
    std::vector<std::string> all{"generate", "--model", "model", "--out", "out"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ended ended = world.run(all);
    INFO(ended.text);
    CHECK(ended.code == code);
    CHECK(ended.says(part));
    CHECK_FALSE(fs::exists(world.folder / "out"));
  }
}

TEST_CASE("templora run: perplexity through a kept cache is stopped and goes on with the same bits", "[cli]") {
  const World world;
  world.write_config({{"cache.policy", "refill"}, {"cache.refill_tokens", 16}, {"cache.window_tokens", 100}, {"cache.measure_staleness", true}});
  const Ended whole = world.run_config();
  INFO(whole.text);
  REQUIRE(whole.code == 0);
  CHECK(world.content("out/chunks.jsonl").find("\"staleness\"") != std::string::npos);
  const Ended stopped = world.run({"run", "config.json", "--out", "again"}, {}, [&](pid_t child) {
    world.wait_for_chunks("again", 1);
    ::kill(child, SIGTERM);
  });
  REQUIRE(stopped.code == 75);
  REQUIRE(world.run({"run", "config.json", "--out", "again", "--resume"}).code == 0);
  CHECK(world.content("again/nll/0-lora.f32") == world.content("out/nll/0-lora.f32"));
  CHECK(world.content("again/nll/0-base.f32") == world.content("out/nll/0-base.f32"));
}
