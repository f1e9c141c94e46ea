// templora merge, average and adapt.

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
  CHECK(mean.says("| down\\_proj | "));
  CHECK(mean.says("| 100.00 % | | |"));  // eight directions are all there are
  CHECK(world.run({"average", "first/adapters/0", "first/adapters/1", "--out", "cut", "--rank", "1"}).code == 0);
  const Json kept = Json::parse(world.content("cut/provenance.json"));
  CHECK(kept.at("kept").get<double>() < 0.999 * kept.at("squared_norm").get<double>());
  for (const char* parts : {"both", "a"}) {
    const std::string out = std::string("from-") + parts;
    REQUIRE(world
                .make(out, kTwoBooks + Changes{{"lora.init_from", "mean"},
                                               {"lora.init_parts", parts},
                                               {"lora.rank", 8},
                                               {"lora.alpha", 16}})
                .code == 0);
    const Ended verified = world.run({"verify", out, "--replay", "3"});
    INFO(verified.text);
    CHECK(verified.code == 0);
    const Json first = world.records(out + "/chunks.jsonl").front();
    const double moved = std::abs(first.at("lora_nll").get<double>() - first.at("base_nll").get<double>());
    CHECK((moved < 1e-6) == (std::string(parts) == "a"));
  }
  // A record that says so of an adapter that starts as the base is found out.
  const Folder run(world.folder / "from-a");
  run.replace("chunks.jsonl", "\"lora_nll\":", "\"lora_nll\":1");
  CHECK(world.run({"verify", "from-a"}).says("fresh-module"));

  world.refuses({"average", "first/adapters/0", "--out", "mean"}, 2, "mean: is there already");
  world.refuses({"average", "first/adapters/0", "model", "--out", "none"}, 3, "adapter_config.json");
  world.refuses({"average", "first/adapters/0", "--out", "none", "--rank", "5"}, 2, "--rank: got 5, wanted 1 to 4");
  CHECK(world.run({"average", "--out", "none"}).code == 2);
  CHECK(world.run({"average", "first/adapters/0", "--out", "none", "--rank", "0"}).code == 2);
  CHECK_FALSE(fs::exists(world.folder / "none"));
}

TEST_CASE("templora adapt: one adapter learns all books; stopped, it goes on bit for bit, and verify replays it",
          "[cli]") {
  const VerifyWorld world;
  world.write_config({{"data.books", {"book.txt", "other.txt", "more/book.txt"}}, {"data.max_tokens", 250}});
  world.write("more/book.txt", "And more. " + world.content("other.txt"));
  const Ended whole = world.run({"adapt", "config.json", "--out", "whole"});
  INFO(whole.text);
  REQUIRE(whole.code == 0);
  const Json config = Json::parse(world.content("whole/run.json")).at("config");
  CHECK(config.at("lora").at("reset_every_tokens") == -1);
  CHECK(config.at("train").at("rate_decay") == "linear");
  std::int64_t version = 0;
  double last_rate = 1, tokens = 0;
  for (const Json& chunk : world.records("whole/chunks.jsonl")) {
    CHECK(chunk.at("adapter_version") == version++);
    CHECK(chunk.at("base_nll").is_null());
    const double rate = chunk.at("learning_rate");
    if (version > 1) CHECK(rate < last_rate);  // the first chunk's second step has the whole rate of the warm-up
    if (version > 1) CHECK(rate == Approx(0.003 * (750 - tokens) / 750));
    last_rate = rate;
    tokens += chunk.at("tokens").get<double>();
  }
  CHECK(tokens == 750);
  CHECK(fs::exists(world.folder / "whole/adapters/2/adapter_model.safetensors"));
  const Ended verified = world.run({"verify", "whole", "--replay", "6", "--all"});
  INFO(verified.text);
  CHECK(verified.code == 0);
  CHECK(verified.says("ok replay-nll"));
  CHECK(verified.says("bit for bit"));

  // Killed in the second book, and gone on with.
  REQUIRE(world.run({"adapt", "config.json", "--out", "parts"}, {}, [&](pid_t child) {
            world.wait_for_chunks("parts", 14);
            ::kill(child, SIGKILL);
          }).code == -SIGKILL);
  CHECK(world.run({"verify", "parts"}).code == 0);
  REQUIRE(world.run({"adapt", "config.json", "--out", "parts", "--resume"}).code == 0);
  for (const char* file : {"nll/1-lora.f32", "nll/2-lora.f32", "adapters/2/adapter_model.safetensors"})
    CHECK(world.content(std::string("parts/") + file) == world.content(std::string("whole/") + file));

  // Rates and versions that do not go on are found.
  const Folder run(world.folder / "whole");
  const std::string chunks = run.text("chunks.jsonl");
  const std::size_t third_book = chunks.rfind("\"first_token\":0,");
  REQUIRE(third_book != std::string::npos);
  std::string forged = chunks;
  const std::size_t at = forged.find("\"adapter_version\":", third_book) + 18;
  forged.replace(at, forged.find(',', at) - at, "0");
  run.write("chunks.jsonl", forged);
  CHECK(world.run({"verify", "whole"}).says("adapter-version: "));
  run.write("chunks.jsonl", chunks);
  run.set("run.json", "/total_tokens", 900);
  CHECK(world.run({"verify", "whole"}).says("learning-rate: "));

  world.refuses({"run", "config.json", "--out", "parts", "--resume"}, 2, "config_hash");
  REQUIRE(world.run({"adapt", "config.json", "--out", "other", "--set", "train.rate_decay=sqrt", "--set",
                     "lora.save_final=false"})
              .code == 0);
  CHECK_FALSE(fs::exists(world.folder / "other/adapters"));
  world.refuses({"adapt", "config.json", "--out", "full", "--set", "lora.update=full"}, 2,
                "lora.update: got \"full\", wanted \"low_rank\": adapt writes a PEFT folder");

  // Claims of one run without a control, and what has no part beside them.
  const Ended claims = world.run({"report", "whole", "--claims"});
  INFO(claims.text);
  CHECK(claims.code == 0);
  CHECK(claims.says("| H1 | this text is learnt | – | – | – | not tested |"));
  world.refuses({"report", "whole", "--claims", "--factors"}, 2, "wanted one of them");
  world.refuses({"report", "whole", "--claims", "--format", "csv"}, 2, "have no part beside");
  world.refuses({"report", "whole", "--adapted", "parts"}, 2, "wanted --claims beside it");
  world.write_config(VerifyWorld::generation());
  world.refuses({"adapt", "config.json", "--out", "text"}, 2, "experiment: got \"generation\", wanted \"perplexity\"");
  const Json pretrain{{"experiment", "pretrain"},
                      {"model", {{"tokenizer", "model"}}},
                      {"data", {{"books", {"book.txt"}}, {"validation", {"held.txt"}}}}};
  world.write("config.json", pretrain.dump());
  world.refuses({"adapt", "config.json", "--out", "text"}, 2, "experiment: got \"pretrain\", wanted \"perplexity\"");
}
