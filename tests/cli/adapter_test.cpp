// templora merge and average.

#include "catch.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

const Changes kTwoBooks{{"data.max_tokens", 200}, {"data.books", {"book.txt", "other.txt"}}};

/// The base column of a run of book.txt with a model folder.
double perplexity_with(const VerifyWorld& world, const std::string& model, const std::string& out) {
  REQUIRE(world.make(out, {{"data.max_tokens", 200}, {"model.path", model}, {"score.adapter", false}}).code == 0);
  double nll = 0;
  for (const Json& chunk : world.records(out + "/chunks.jsonl")) nll += chunk.at("base_nll").get<double>();
  return nll;
}

}  // namespace

TEST_CASE("templora merge: the merged folder is a base that gives what base plus adapter gives", "[cli]") {
  const VerifyWorld world;
  REQUIRE(world.make("first", kTwoBooks + Changes{{"lora.save_final", true}}).code == 0);
  const Ended merged = world.run({"merge", "--model", "model", "--adapter", "first/adapters/0", "--out", "merged"});
  INFO(merged.text);
  REQUIRE(merged.code == 0);
  CHECK(merged.lines() == 1);
  const double as_base = perplexity_with(world, "merged", "of-merged");
  REQUIRE(world
              .make("of-adapter", {{"data.max_tokens", 200},
                                   {"lora.init_from", "first/adapters/0"},
                                   {"train.enabled", false},
                                   {"lora.dropout", 0}})
              .code == 0);
  double with_adapter = 0, without = 0;
  for (const Json& chunk : world.records("of-adapter/chunks.jsonl")) {
    with_adapter += chunk.at("lora_nll").get<double>();
    without += chunk.at("base_nll").get<double>();
  }
  CHECK(as_base == Approx(with_adapter).epsilon(1e-6));
  CHECK(std::abs(as_base - without) > 1e-3);

  const auto merge = [](const std::string& model, const std::string& adapter, const std::string& out) {
    return std::vector<std::string>{"merge", "--model", model, "--adapter", adapter, "--out", out};
  };
  world.refuses(merge("model", "first/adapters/0", "merged"), 2, "merged: is there already");
  world.refuses(merge("merged", "first/adapters/0", "again"), 3, "base_model_name_or_path: got \"");
  world.refuses(merge("nowhere", "first/adapters/0", "again"), 3, "nowhere");
  world.refuses(merge("model", "first", "again"), 3, "adapter_config.json");
  CHECK(world.run(merge("model", "first/adapters/0", "again")).code == 0);
  CHECK(world.content("again/model.safetensors") == world.content("merged/model.safetensors"));
  std::vector<std::string> wrong = merge("model", "first/adapters/0", "half");
  wrong.insert(wrong.end(), {"--dtype", "float16"});
  CHECK(world.run(wrong).code == 2);
  CHECK_FALSE(fs::exists(world.folder / "half"));
}

TEST_CASE("templora average: the mean of a run's adapters starts another run", "[cli]") {
  const VerifyWorld world;
  REQUIRE(world.make("first", kTwoBooks + Changes{{"lora.save_final", true}}).code == 0);
  const Ended mean = world.run({"average", "first/adapters/0", "first/adapters/1", "--out", "mean", "--rank", "8"});
  INFO(mean.text);
  REQUIRE(mean.code == 0);
  CHECK(mean.says("| down_proj | "));
  CHECK(mean.says("| 100.00 % | | |"));  // eight directions are all there are
  CHECK(world.run({"average", "first/adapters/0", "first/adapters/1", "--out", "cut", "--rank", "1"}).code == 0);
  const Json kept = Json::parse(world.content("cut/provenance.json"));
  CHECK(kept.at("kept").get<double>() < 0.999 * kept.at("squared_norm").get<double>());
  REQUIRE(
      world.make("from-mean", kTwoBooks + Changes{{"lora.init_from", "mean"}, {"lora.rank", 8}, {"lora.alpha", 16}})
          .code == 0);
  const Ended verified = world.run({"verify", "from-mean", "--replay", "3"});
  INFO(verified.text);
  CHECK(verified.code == 0);
  const Json first = world.records("from-mean/chunks.jsonl").front();
  CHECK(std::abs(first.at("lora_nll").get<double>() - first.at("base_nll").get<double>()) > 1e-6);

  world.refuses({"average", "first/adapters/0", "--out", "mean"}, 2, "mean: is there already");
  world.refuses({"average", "first/adapters/0", "model", "--out", "more"}, 3, "adapter_config.json");
  world.refuses({"average", "first/adapters/0", "--out", "more", "--rank", "5"}, 2, "--rank: got 5, wanted 1 to 4");
  CHECK(world.run({"average", "--out", "more"}).code == 2);
  CHECK(world.run({"average", "first/adapters/0", "--out", "more", "--rank", "0"}).code == 2);
  CHECK_FALSE(fs::exists(world.folder / "more"));
}
