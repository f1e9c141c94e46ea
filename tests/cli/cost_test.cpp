#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora cost: a config's cost needs no weights, only config.json", "[cli]") {
  const World world;
  fs::remove(world.folder / "model/model.safetensors");
  const Ended text = world.run({"cost", "config.json", "--tokens", "1000", "--device", "cpu"});
  INFO(text.text);
  REQUIRE(text.code == 0);
  CHECK(text.says("## Per new token"));
  CHECK(text.says("## Whole run: 1,000 tokens, 42 chunks, 84 optimizer steps"));
  const Ended json = world.run({"cost", "config.json", "--json", "--set", "train.epochs=1"});
  REQUIRE(json.code == 0);
  const Json cost = Json::parse(json.text);
  CHECK(cost.at("run").is_null());
  CHECK(cost.at("per_token").at("phases").contains("train_backward"));
}

TEST_CASE("templora cost: what is missing or unknown is one clear line", "[cli]") {
  const World world;
  world.refuses({"cost", "config.json", "--device", "H300"}, 2, "wanted one of H200, H100, A100, L40S, 4090, cpu");
  world.refuses({"cost", "config.json", "--device", "bf16_flops=1e12"}, 2, "is missing");
  world.refuses({"cost", "config.json", "--shape", "llama9"}, 2, "wanted one of llama2-7b");
  world.refuses({"cost", "config.json", "--set", "cost.device=H300"}, 2, "cost.device: got \"H300\"");
  world.refuses({"cost", "config.json", "--set", "experiment=translation", "--set", "data.novels=[\"n\"]"}, 2,
                "translation");
  const Ended run = world.run({"run", "config.json", "--set", "cost.device=H300"});  // before it starts, not at its end
  CHECK(run.code == 2);
  CHECK(run.says("cost.device: got \"H300\""));
  fs::remove(world.folder / "model/config.json");
  world.refuses({"cost", "config.json"}, 3, "no config.json");
  CHECK(world.run({"cost", "config.json", "--shape", "yi-6b"}).code == 0);
  CHECK(world.run({"cost", "config.json", "--set", "cost.shape=yi-6b"}).says("yi-6b"));
  world.refuses({"cost", "config.json", "--set", "cost.shape=gpt"}, 2,
                "cost.shape: got \"gpt\", wanted one of llama2-7b");
}

TEST_CASE("templora run: every run says what its phases cost", "[cli]") {
  const World world;
  REQUIRE(world.run_config().code == 0);
  const Json cost = Json::parse(world.content("out/summary.json")).at("cost");
  for (const char* phase : {"score_base", "score", "train_forward", "train_backward"}) {
    CHECK(cost.at("phases").at(phase).at("flops").get<double>() > 0);
    CHECK(cost.at("phases").at(phase).at("flops_per_s").get<double>() > 0);
  }
  CHECK(cost.at("phases").at("optimizer").at("seconds").get<double>() > 0);
  CHECK(cost.at("peak_rss_bytes").get<double>() > 0);
  CHECK(world.content("out/cost.md").find("## Cost") == 0);
}
