#include <cmath>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

Json pair(const std::string& zh, const std::string& en) { return {{"zh", zh}, {"en", en}}; }

/// A novel of `chunks` chunks of three pairs; k1 is the chunk before, k3 everything before.
Json made_up_novel(int chunks) {
  Json records = Json::array(), before = Json::array(), last = Json::array();
  for (int c = 0; c < chunks; ++c) {
    Json pairs = Json::array();
    for (int i = 0; i < 3; ++i)
      pairs.push_back(
          pair("zh " + std::to_string(c * 3 + i), "The voice of him that crieth, " + std::to_string(c) + "."));
    records.push_back({{"contexts", {{"k1", last}, {"k3", before}}}, {"inference", pairs}});
    for (const Json& one : pairs) before.push_back(one);
    last = pairs;
  }
  return records;
}

/// The program's world with two novels and a model that has room for them.
class NovelWorld : public World {
 public:
  NovelWorld() {
    LlamaConfig config = read_llama_config(folder / "model/config.json");
    config.max_positions = 1024;
    Llama model(config, at::TensorOptions(at::kFloat));
    init_random_weights(*model, 3, 0.1);
    save_llama(*model, folder / "model");
    write("a.train", made_up_novel(3).dump());
    write("b.train", made_up_novel(2).dump());
    write_translation({});
  }

  void write_translation(const std::vector<std::pair<std::string, Json>>& changes) const {
    std::vector<std::pair<std::string, Json>> all{
        {"experiment", "translation"}, {"data", {{"novels", {"*.train"}}}}, {"translation", {{"prompt", "plain"}}},
        {"generate", {{"max_new_tokens", 6}, {"repetition_penalty", 1.12}}}, {"run/save_every_chunks", 1}};
    all.insert(all.end(), changes.begin(), changes.end());
    write_config(all);
  }
};

// Results without times.
std::string pairs_and_tables(const World& world, const std::string& out) {
  std::string text =
      world.content(out + "/pairs.jsonl") + world.content(out + "/table.md") + world.content(out + "/nll/1-lora.f32");
  for (Json chunk : world.records(out + "/chunks.jsonl")) {
    chunk.erase("seconds");
    text += chunk.dump();
  }
  return text;
}

}  // namespace

TEST_CASE("templora run: a translation's folder holds pairs, chunks and the table", "[cli]") {
  const NovelWorld world;
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const std::vector<Json> pairs = world.records("out/pairs.jsonl");
  REQUIRE(pairs.size() == 15);
  CHECK(pairs[9].at("novel") == "b.train");
  CHECK(pairs[9].at("novel_index") == 1);
  CHECK(pairs[14].at("chunk") == 1);
  CHECK(pairs[14].at("pair") == 2);
  double nll = 0, tokens = 0;
  for (const Json& one : pairs) {
    CHECK(one.at("base_text").is_string());
    CHECK(one.at("lora_ids").size() <= 6);
    nll += one.at("lora_nll").get<double>() * one.at("reference_tokens").get<double>();
    tokens += one.at("reference_tokens").get<double>();
  }
  const Json summary = Json::parse(world.content("out/summary.json"));
  const Json& lora = summary.at("all").at("lora");
  CHECK(lora.at("perplexity").get<double>() == Approx(std::exp(nll / tokens)).epsilon(1e-6));
  CHECK(lora.at("perplexity") < summary.at("all").at("base").at("perplexity"));
  CHECK(lora.at("bleu_signature").get<std::string>().find("tok:13a") != std::string::npos);
  CHECK(lora.at("comet").is_null());
  CHECK(summary.at("novels").size() == 2);
  REQUIRE(summary.at("chunks").size() == 5);
  CHECK(summary.at("chunks")[3].at("novel") == "b.train");
  CHECK(summary.at("chunks")[3].at("chunk") == 0);
  CHECK(summary.at("chunks")[3].at("lora").at("bleu").is_number());
  CHECK(summary.at("weights_hash_before") == summary.at("weights_hash_after"));
  CHECK(fs::file_size(world.folder / "out/nll/0-base.f32") + fs::file_size(world.folder / "out/nll/1-base.f32") ==
        std::size_t(tokens) * 4);
  CHECK(ended.says("COMET"));
  for (const char* phase : {"base_prefill", "base_score", "base_decode", "lora_prefill", "lora_score", "lora_decode",
                            "train_forward", "train_backward"}) {
    INFO(phase);
    CHECK(summary.at("cost").at("phases").at(phase).at("flops_per_s").get<double>() > 0);
  }
  CHECK(world.content("out/cost.md").find("| lora_decode |") != std::string::npos);
  const std::vector<Json> chunks = world.records("out/chunks.jsonl");
  REQUIRE(chunks.size() == 5);
  CHECK(chunks[2].at("adapter_version") == 2);
  CHECK(chunks[3].at("adapter_version") == 0);  // a fresh module for the second novel
  CHECK(chunks[1].at("train_loss").size() == 2);
  CHECK(chunks[1].at("pairs") == 3);
}

TEST_CASE("templora run: a translation that was stopped or killed goes on bit for bit", "[cli]") {
  const NovelWorld world;
  world.write_translation({{"translation/history", "own"}});
  REQUIRE(world.run_config("whole").code == 0);
  const auto after = [&](std::size_t chunks, int signal) {
    return [&world, chunks, signal](pid_t child) {
      for (int i = 0; i < 20000; ++i) {
        std::ifstream file(world.folder / "parts/chunks.jsonl");
        std::size_t count = 0;
        for (std::string line; std::getline(file, line);) ++count;
        if (count >= chunks) break;
        ::usleep(1000);
      }
      ::kill(child, signal);
    };
  };
  const Ended stopped = world.run({"run", "config.json", "--out", "parts"}, {}, after(1, SIGTERM));
  INFO(stopped.text);
  REQUIRE(stopped.code == 75);
  CHECK(stopped.says("--resume"));
  world.run({"run", "config.json", "--out", "parts", "--resume"}, {}, after(3, SIGKILL));
  const Ended resumed = world.run({"run", "config.json", "--out", "parts", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(pairs_and_tables(world, "parts") == pairs_and_tables(world, "whole"));
}

TEST_CASE("bad input: novels", "[cli]") {
  const NovelWorld world;
  Json records = made_up_novel(2);
  SECTION("not JSON") {
    world.write("a.train", records.dump().substr(0, 100));
    check_refused(world, Exit::bad_input, {"a.train", "line 1"});
  }
  SECTION("a missing side of a pair") {
    records[1]["inference"][2].erase("en");
    world.write("a.train", records.dump());
    check_refused(world, Exit::bad_input, {"a.train", "record 1: inference[2].en: got nothing"});
  }
  SECTION("a wrong type") {
    records[1]["contexts"]["k3"][0]["zh"] = 7;
    world.write("a.train", records.dump());
    check_refused(world, Exit::bad_input, {"a.train", "record 1: contexts.k3[0].zh: got number"});
  }
  SECTION("a context that the file has not") {
    for (Json& record : records) record["contexts"].erase("k3");
    world.write("a.train", records.dump());
    world.write_translation({{"translation/context", "k3"}});
    check_refused(world, Exit::bad_input, {"a.train", "record 0: contexts.k3: got nothing"});
  }
  SECTION("a sentence that no window holds") {
    std::string words;
    for (int i = 0; i < 1500; ++i) words += "word ";
    records[1]["inference"][1]["zh"] = words;
    world.write("b.train", records.dump());
    check_refused(world, Exit::bad_input, {"b.train: record 1: inference[1]: got", "translation.window_tokens"});
  }
  SECTION("a training text that no window holds, for a pair that is not translated") {
    std::string words;
    for (int i = 0; i < 1500; ++i) words += "word ";
    records[1]["inference"][2] = pair(words, "");
    world.write("b.train", records.dump());
    check_refused(world, Exit::bad_input,
                  {"b.train: record 1: inference[2]: got a training text", "translation.window_tokens"});
  }
  SECTION("a pattern that matches nothing") {
    world.write_translation({{"data/novels", {"*.eval"}}});
    check_refused(world, Exit::bad_input, {"*.eval"});
  }
}

TEST_CASE("bad input: translation settings", "[cli]") {
  const NovelWorld world;
  SECTION("a template whose marks the tokenizer lacks") {
    world.write_translation({{"translation/prompt", "chatml"}});
    check_refused(world, Exit::usage, {"translation.prompt", "<|im_start|>"});
  }
  SECTION("a history that is no probability") {
    world.write_translation({{"translation/history", 1.5}});
    check_refused(world, Exit::usage, {"config.json", "translation.history"});
  }
  SECTION("a window that the model has not") {
    world.write_translation({{"translation/window_tokens", 5000}});
    check_refused(world, Exit::usage, {"translation.window_tokens", "1024 positions"});
  }
  SECTION("answers longer than the window") {
    world.write_translation({{"generate/max_new_tokens", 2000}});
    check_refused(world, Exit::usage, {"generate.max_new_tokens"});
  }
  SECTION("a device whose peaks nobody knows") {
    world.write_translation({{"cost/device", "H300"}});
    check_refused(world, Exit::usage, {"cost.device: got \"H300\""});
  }
  SECTION("a damaged COMET folder") {
    fs::create_directory(world.folder / "comet");
    for (const char* name : {"config.json", "model.safetensors", "sentencepiece.bpe.model"})
      world.write(std::string("comet/") + name, "{}");
    world.write_translation({{"translation/comet_model", "comet"}});
    check_refused(world, Exit::bad_input, {"comet"});
  }
}

TEST_CASE("templora run: an empty sentence is kept in the text, neither translated nor scored, and reported", "[cli]") {
  const NovelWorld world;
  Json records = made_up_novel(2);
  records[0]["inference"][1]["en"] = " ";
  records[1]["inference"][0]["zh"] = "";
  world.write("a.train", records.dump());
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const std::vector<Json> pairs = world.records("out/pairs.jsonl");
  CHECK(pairs[1].at("skipped") == true);
  CHECK(pairs[1].at("lora_text").is_null());
  CHECK(pairs[3].at("skipped") == true);
  CHECK(ended.says("2 pairs have an empty side"));
}

TEST_CASE("templora run: a history that the window cannot hold is cut and reported", "[cli]") {
  const NovelWorld world;
  world.write_translation({{"translation/window_tokens", 150}, {"translation/context", "k3"}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("cut from the left"));
  CHECK(Json::parse(world.content("out/summary.json")).at("all").at("cut_pairs") > 0);
  CHECK(world.content("out/table.md").find("its oldest pairs were cut") != std::string::npos);
}

TEST_CASE("templora run: COMET weights that are not there are said to be missing, and how to get them", "[cli]") {
  const NovelWorld world;
  world.write_translation({{"translation/comet_model", "no-such-folder"}, {"data/max_chunks", 1}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("no COMET"));
  CHECK(ended.says("no-such-folder"));
  CHECK(Json::parse(world.content("out/summary.json")).at("comet_note").get<std::string>().find("no-such-folder") !=
        std::string::npos);
}

TEST_CASE("templora run: COMET weights that come later complete a finished run's table", "[cli]") {
  const NovelWorld world;
  REQUIRE(world.run_config().code == 0);
  const std::string pairs = world.content("out/pairs.jsonl");
  const std::string weights = (fs::path(TEMPLORA_SOURCE_DIR) / "tests" / "goldens" / "comet" / "model").string();
  const Ended judged =
      world.run({"run", "config.json", "--out", "out", "--resume", "--set", "translation.comet_model=" + weights});
  INFO(judged.text);
  REQUIRE(judged.code == 0);
  CHECK(world.content("out/pairs.jsonl") == pairs);
  const Json summary = Json::parse(world.content("out/summary.json"));
  CHECK(summary.at("comet_note") == "");
  CHECK(summary.at("comet_model") == weights);
  double sum = 0;
  const std::vector<Json> scores = world.records("out/comet.jsonl");
  REQUIRE(scores.size() == 15);
  for (const Json& score : scores) sum += score.at("lora_comet").get<double>();
  CHECK(summary.at("all").at("lora").at("comet").get<double>() == Approx(sum / 15));
  CHECK(summary.at("cost").at("phases").contains("lora_decode"));
  const Ended verified = world.run({"verify", "out"});
  INFO(verified.text);
  CHECK(verified.code == 0);
  const Ended shown = world.run({"run", "config.json", "--out", "out", "--resume"});
  CHECK(shown.says("is finished"));
  CHECK(Json::parse(world.content("out/summary.json")) == summary);
}
