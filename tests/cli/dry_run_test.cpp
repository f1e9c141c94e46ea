#include <algorithm>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

std::vector<std::string> names_in(const World& world) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(world.folder.path()))
    if (entry.path().filename() != "log") names.push_back(entry.path().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("templora run --dry-run: it says what the run then does, and writes nothing", "[cli]") {
  const World world;
  const std::vector<std::string> before = names_in(world);
  const Ended text = world.run({"run", "config.json", "--out", "out", "--dry-run"});
  INFO(text.text);
  REQUIRE(text.code == 0);
  CHECK(text.says("# What a run of config.json would do"));
  CHECK(text.says("Δ 24 behind L_X 40; learnt behind L_T 40, 2 steps each"));
  CHECK(text.says("Time: about "));
  CHECK(text.says(" chunks of book.txt, which took "));
  CHECK(text.says("Into out, a new folder:"));
  const Ended said = world.run({"run", "config.json", "--dry-run", "--json", "--set", "run.threads=1"});
  INFO(said.text);
  REQUIRE(said.code == 0);
  CHECK(names_in(world) == before);
  CHECK(said.says("templora: computes a chunk or some to see how fast this machine is: for 12 s at most"));
  const Json dry = Json::parse(said.text.substr(said.text.find("{\n")));
  CHECK(dry.at("folder").get<std::string>().starts_with("runs/config/<time>-"));
  CHECK(dry.at("seconds").get<double>() > 0);
  const int chunks = dry.at("probe").at("chunks").get<int>();
  CHECK(chunks >= 2);
  CHECK(dry.at("probe").at("what").get<std::string>().starts_with("the first " + std::to_string(chunks) + " of "));

  REQUIRE(world.run_config().code == 0);
  const Json summary = Json::parse(world.content("out/summary.json"));
  REQUIRE(dry.at("texts").size() == 1);
  CHECK(dry.at("texts")[0].at("tokens") == world.records("out/books.jsonl")[0].at("tokens"));
  CHECK(dry.at("texts")[0].at("chunks") == world.records("out/chunks.jsonl").size());
  const Json& run = dry.at("cost").at("run");
  CHECK(run.at("flops").get<double>() == Approx(summary.at("cost").at("flops").get<double>()));
  CHECK(run.at("chunks") == world.records("out/chunks.jsonl").size());
  for (const Json& file : dry.at("written"))
    if (file.at("what") == "nll/")
      CHECK(file.at("bytes").get<double>() ==
            Approx(double(fs::file_size(world.folder / "out/nll/0-lora.f32") * 2)).epsilon(0.01));
}

TEST_CASE("templora run --dry-run: with a device's name its peaks count, and no weights are needed", "[cli]") {
  const World world;
  fs::remove(world.folder / "model/model.safetensors");
  const Ended ended = world.run({"run", "config.json", "--dry-run", "--device", "H100"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("on H100, by its peaks"));
  CHECK(ended.says("It fits into H100's"));
  world.refuses({"run", "config.json", "--dry-run", "--device", "H300"}, 2, "wanted one of H200");
}

TEST_CASE("templora run --dry-run: controls, generations and pretrainings are measured too", "[cli]") {
  const World world;
  world.write("other.txt", world.content("book.txt") + "And so on, and so on.\n");
  const auto seconds = [&](const std::vector<std::pair<std::string, Json>>& keys) {
    world.write_config(keys);
    const std::vector<std::string> before = names_in(world);
    const Ended ended = world.run({"run", "config.json", "--dry-run", "--json"});
    INFO(ended.text);
    REQUIRE(ended.code == 0);
    CHECK(names_in(world) == before);
    const Json dry = Json::parse(ended.text.substr(ended.text.find("{\n")));
    CHECK(dry.at("probe").at("seconds").get<double>() > 0);
    return dry.at("seconds").get<double>();
  };
  CHECK(seconds({{"control", "other_book"}, {"data.control_books", {"other.txt"}}}) > 0);
  CHECK(seconds({{"cache.policy", "last_n"}, {"cache.window_tokens", 64}}) > 0);
  CHECK(seconds({{"experiment", "generation"},
                 {"generate", {{"prompt", "The quick brown fox"}, {"tokens", 200}}}}) > 0);
  const Json at_once{{"prompt", "The quick brown fox"}, {"schedule", "parallelized"}, {"tokens", 200}};
  CHECK(seconds({{"experiment", "generation"}, {"generate", at_once}}) > 0);
  CHECK(seconds({{"experiment", "pretrain"},
                 {"model", {{"tokenizer", "model"}}},
                 {"data", {{"books", {"book.txt"}}, {"validation", {"other.txt"}}}},
                 {"pretrain", {{"layers", 1}, {"hidden", 16}, {"heads", 2}, {"ffn", 16}, {"sequence_tokens", 32},
                               {"token_cache", "kept"}}}}) > 0);
}

TEST_CASE("templora run --dry-run: what the run would refuse is refused", "[cli]") {
  const World world;
  world.refuses({"run", "config.json", "--dry-run", "--resume"}, 2, "--dry-run: got --resume too");
  world.refuses({"run", "config.json", "--json"}, 2, "--json: is for --dry-run only");
  world.refuses({"run", "config.json", "--device", "cpu"}, 2, "--device: is for --dry-run only");
  world.refuses({"run", "config.json", "--dry-run", "--out", "model"}, 2, "the folder is not empty");
  world.refuses({"run", "config.json", "--dry-run", "--set", "window.context_tokens=120"}, 2, "128 positions");
  world.refuses({"run", "config.json", "--dry-run", "--set", "data.books=[\"none.txt\"]"}, 3, "none.txt: no such file");
}
