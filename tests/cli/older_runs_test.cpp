#include <cmath>

#include "catch.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora run: a model of a hub's cache is called by its repository's name", "[cli]") {
  const World world;
  const fs::path repository = world.folder / "hub/models--demo--tiny",
                 snapshot = repository / "snapshots/0a1b2c3d4e5f60718293a4b5c6d7e8f901234567";
  fs::create_directories(repository / "blobs");
  fs::create_directories(snapshot);
  for (const fs::directory_entry& entry : fs::directory_iterator(world.folder / "model")) {
    const fs::path blob = repository / "blobs" / entry.path().filename();
    fs::copy_file(entry.path(), blob);
    fs::create_symlink(blob, snapshot / entry.path().filename());
  }
  world.write_config({{"model.path", snapshot.string()}, {"data.max_tokens", 100}});
  REQUIRE(world.run_config().code == 0);
  CHECK(world.content("out/table.md").find("Model demo/tiny ·") != std::string::npos);
  CHECK(world.run({"report", "out"}).says("model demo/tiny"));
  CHECK(world.run({"verify", "out"}).code == 0);
  // A table of templora 0.1 has the commit.
  std::string table = world.content("out/table.md");
  table.replace(table.find("demo/tiny"), 9, "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567");
  world.write("out/table.md", table);
  CHECK(world.run({"verify", "out"}).code == 0);
}

TEST_CASE("templora verify: a run of templora 0.1 is checked by the formulas that it was made with", "[cli]") {
  const World world;
  world.write_config({{"window.context_tokens", 0}, {"train.prefix_tokens", 0}, {"data.max_tokens", 200}});
  REQUIRE(world.run_config().code == 0);
  const Folder out(world.folder / "out");
  CHECK(world.run({"verify", "out"}).code == 0);
  // As 0.1 made it: ΣNLL over all words, whatever was scored.
  double sum[2] = {0, 0};
  const char* const sides[] = {"base", "lora"};
  const double words = out.line("books.jsonl", 0).at("words"), bytes = out.line("books.jsonl", 0).at("text_bytes");
  Json summary = Json::parse(out.text("summary.json"));
  for (int s = 0; s < 2; ++s) {
    const std::string file = std::string("nll/0-") + sides[s] + ".f32";
    for (std::size_t i = 0; i < out.text(file).size() / 4; ++i) sum[s] += static_cast<double>(out.value(file, i));
    for (Json* row : {&summary["all"].back(), &summary["books"][0]["segments"].back()}) {
      (*row)[sides[s]]["word_level"] = std::exp(sum[s] / words);
      (*row)[sides[s]]["bits_per_byte"] = sum[s] / std::log(2.0) / bytes;
    }
  }
  const double now = Json::parse(out.text("summary.json")).at("all").back().at("base").at("bits_per_byte");
  CHECK(now > sum[0] / std::log(2.0) / bytes);
  summary["table_version"] = 2;
  summary.erase("notes");
  out.write("summary.json", summary.dump());
  const Ended verified = world.run({"verify", "out", "--all"});
  INFO(verified.text);
  CHECK(verified.says("ok summary-table"));
  CHECK(verified.says("table-text: table.md"));  // which is the later version's
}
