#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <chrono>
#include <cmath>
#include <thread>

#include "catch.h"
#include "model/tensors.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

// A world whose config makes a tiny model; 40 steps of 2 x 2 sequences.
class PretrainWorld : public World {
 public:
  PretrainWorld() {
    write("held.txt",
          "A lazy fox and a quick dog sat down together, and neither of them jumped over anything that day.\n");
    write_pretrain({});
  }
  void write_pretrain(const std::vector<std::pair<std::string, Json>>& changes) const {
    Json config{{"experiment", "pretrain"},
                {"model", {{"tokenizer", "model"}, {"dtype", "bfloat16"}, {"device", "cpu"}}},
                {"data", {{"books", {"*.txt"}}, {"exclude", {"held.txt"}}, {"validation", {"held.txt"}}}},
                {"pretrain",
                 {{"layers", 2},
                  {"hidden", 32},
                  {"ffn", 48},
                  {"heads", 2},
                  {"kv_heads", 1},
                  {"sequence_tokens", 16},
                  {"batch_sequences", 4},
                  {"micro_sequences", 2},
                  {"tokens", 40 * 64},
                  {"learning_rate", 0.01},
                  {"warmup_steps", 4},
                  {"save_every_steps", 7},
                  {"validate_every_steps", 9},
                  {"token_cache", "cache"}}},
                {"run", {{"threads", 2}}}};
    for (const auto& [key, value] : changes) {
      std::string pointer = "/" + key;
      for (char& c : pointer) c = c == '.' ? '/' : c;
      config[Json::json_pointer(pointer)] = value;
    }
    write("config.json", config.dump());
  }
};

// steps.jsonl without its times.
std::string curve(const World& world, const std::string& out) {
  std::string text;
  for (Json record : world.records(out + "/steps.jsonl")) {
    for (const char* times : {"seconds", "phase_seconds"}) record.erase(times);
    text += record.dump() + "\n";
  }
  return text;
}

void wait_for_steps(const World& world, const std::string& out, int steps) {
  for (int i = 0; i < 60000; ++i) {
    std::ifstream records(world.folder / (out + "/steps.jsonl"));
    int lines = 0;
    for (std::string line; std::getline(records, line);) ++lines;
    if (lines >= steps) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

TEST_CASE("templora run pretrain: makes a model folder that opens and predicts what the record says", "[cli]") {
  const PretrainWorld world;
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const std::vector<Json> steps = world.records("out/steps.jsonl");
  REQUIRE(steps.size() == 40);
  CHECK(steps.front().at("learning_rate").get<double>() == Approx(0.01 / 4));
  CHECK(steps[3].at("learning_rate").get<double>() == Approx(0.01));
  CHECK(steps.back().at("learning_rate").get<double>() == Approx(0.001));
  CHECK(steps.back().at("tokens") == 40 * 64);
  CHECK(steps.back().at("loss").get<double>() < 0.7 * steps.front().at("loss").get<double>());

  for (const char* file : {"config.json", "model.safetensors", "tokenizer.model", "generation_config.json"})
    CHECK(fs::exists(world.folder / "out/model" / file));
  const Json config = Json::parse(world.content("out/model/config.json"));
  CHECK(config.at("max_position_embeddings") == 16);
  CHECK(config.at("num_key_value_heads") == 1);

  const Tokenizer tokenizer(world.folder / "out/model");
  std::string held = world.content("held.txt");
  held.pop_back();  // stripped
  const std::vector<std::int64_t> ids = tokenizer.encode(held, true);
  Llama model = load_llama(world.folder / "out/model", at::kBFloat16, at::kCPU);
  const at::NoGradGuard no_grad;
  double nll = 0;
  const std::int64_t sequences = (std::int64_t(ids.size()) - 1) / 16;
  for (std::int64_t i = 0; i < sequences; ++i)
    nll += token_nll(*model, at::tensor(at::ArrayRef<std::int64_t>(ids.data() + i * 16, 17)).unsqueeze(0), 16)
               .sum()
               .item<double>();
  const Json cost = Json::parse(world.content("out/summary.json")).at("cost");
  for (const char* phase : {"gradient", "optimizer"})
    CHECK(cost.at("phases").at(phase).at("seconds").get<double>() > 0);
  CHECK(cost.at("phases").at("gradient").at("flops_per_s").get<double>() > 0);
  CHECK_FALSE(cost.at("phases").contains("train_forward"));
  const Json validation = world.records("out/validation.jsonl").back();
  CHECK(validation.at("scored_tokens") == sequences * 16);
  CHECK(nll / double(sequences * 16) == Approx(validation.at("nll").get<double>()).epsilon(5e-3));
  const double bits = validation.at("nll").get<double>() / std::log(2.0) * double(ids.size()) / double(held.size());
  CHECK(validation.at("bits_per_byte").get<double>() == Approx(bits));
}

TEST_CASE("templora run pretrain: a run killed twice has the curve and the weights of an unkilled one", "[cli]") {
  const PretrainWorld world;
  for (const char* dtype : {"float32", "bfloat16"}) {
    world.write_pretrain({{"model.dtype", dtype}});
    const std::string whole = std::string("whole-") + dtype, killed = std::string("killed-") + dtype;
    REQUIRE(world.run_config(whole).code == 0);
    const std::vector<std::string> first{"run", "config.json", "--out", killed},
        again{"run", "config.json", "--out", killed, "--resume"};
    const Ended one = world.run(first, {}, [&](pid_t child) {
      wait_for_steps(world, killed, 10);
      ::kill(child, SIGKILL);
    });
    INFO(one.text);
    CHECK(one.code == -SIGKILL);
    const Ended two = world.run(again, {}, [&](pid_t child) {
      wait_for_steps(world, killed, 20);
      ::kill(child, SIGTERM);
    });
    INFO(two.text);
    CHECK(two.code == int(Exit::interrupted));
    CHECK(two.says("--resume"));
    const Ended three = world.run(again);
    INFO(three.text);
    REQUIRE(three.code == 0);
    CHECK(curve(world, killed) == curve(world, whole));
    CHECK(world.content(killed + "/validation.jsonl") == world.content(whole + "/validation.jsonl"));
    CHECK(world.content(killed + "/model/model.safetensors") == world.content(whole + "/model/model.safetensors"));
    CHECK(world.run(again).says("is finished"));
  }
}

TEST_CASE("templora run pretrain: a state of another config is refused by name, a changed length is not", "[cli]") {
  const PretrainWorld world;
  REQUIRE(world.run({"run", "config.json", "--out", "out"}, {}, [&](pid_t child) {
            wait_for_steps(world, "out", 10);
            ::kill(child, SIGTERM);
          }).code == int(Exit::interrupted));
  const auto resume = [&](const std::string& set) {
    return world.run({"run", "config.json", "--out", "out", "--resume", "--set", set});
  };
  const Ended other = resume("pretrain.hidden=64");
  CHECK(other.code == int(Exit::usage));
  CHECK(other.says("config_hash"));
  CHECK(resume("run.threads=1").says("threads is 1 now and was 2"));
  CHECK(resume("pretrain.tokens=64").says("raise pretrain.tokens"));
  const Ended longer = resume("pretrain.tokens=3200");
  INFO(longer.text);
  REQUIRE(longer.code == 0);
  CHECK(world.records("out/steps.jsonl").size() == 50);
  const std::vector<Json> schedule = world.records("out/schedule.jsonl");
  CHECK(schedule.front().at("steps") == 40);
  CHECK(schedule.back().at("steps") == 50);
}

TEST_CASE("templora run pretrain: killed between its last state and its summary, a run is finished with the same model",
          "[cli]") {
  const PretrainWorld world;
  REQUIRE(world.run_config().code == 0);
  const std::vector<std::string> names{"model/model.safetensors",
                                       "model/config.json",
                                       "model/tokenizer.model",
                                       "model/generation_config.json",
                                       "table.md",
                                       "steps.jsonl",
                                       "validation.jsonl",
                                       "schedule.jsonl"};
  std::vector<std::string> before;
  for (const std::string& name : names) before.push_back(world.content("out/" + name));
  const Json weights = Json::parse(world.content("out/summary.json")).at("weights_hash");

  // What such a kill leaves: everything up to the last state, and a model of which nothing but a temporary file is
  // there.
  for (const char* name : {"summary.json", "table.md", "cost.md"})
    fs::remove(world.folder / (std::string("out/") + name));
  fs::remove_all(world.folder / "out/model");
  fs::create_directories(world.folder / "out/model");
  world.write("out/model/model.safetensors.tmp-1-0", "half of it");
  const Ended ended = world.run({"run", "config.json", "--out", "out", "--resume"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  for (std::size_t i = 0; i < names.size(); ++i) {
    INFO(names[i]);
    CHECK(world.content("out/" + names[i]) == before[i]);
  }
  CHECK(Json::parse(world.content("out/summary.json")).at("weights_hash") == weights);
  CHECK_FALSE(fs::exists(world.folder / "out/model/model.safetensors.tmp-1-0"));
  const Ended verified = world.run({"verify", "out"});
  INFO(verified.text);
  CHECK(verified.code == 0);
}

TEST_CASE("templora run pretrain: a finished run goes on where more tokens are asked for, and only there", "[cli]") {
  const PretrainWorld world;
  REQUIRE(world.run_config().code == 0);
  const std::string steps = world.content("out/steps.jsonl"), model = world.content("out/model/model.safetensors"),
                    summary = world.content("out/summary.json");
  const auto resume = [&](const std::string& tokens, const std::function<void(pid_t)>& meanwhile = {}) {
    return world.run({"run", "config.json", "--out", "out", "--resume", "--set", "pretrain.tokens=" + tokens}, {},
                     meanwhile);
  };
  for (const char* tokens : {"2560", "64"}) {  // its own length, and a shorter one
    const Ended table = resume(tokens);
    CHECK(table.code == 0);
    CHECK(table.says("is finished"));
    CHECK(world.content("out/summary.json") == summary);
  }

  // Stopped on the way it is an unfinished run.
  const Ended stopped = resume("5120", [&](pid_t child) {
    wait_for_steps(world, "out", 50);
    ::kill(child, SIGTERM);
  });
  INFO(stopped.text);
  CHECK(stopped.code == int(Exit::interrupted));
  CHECK(stopped.says("was finished after 40 steps"));
  for (const char* name : {"summary.json", "table.md", "cost.md"})
    CHECK_FALSE(fs::exists(world.folder / (std::string("out/") + name)));

  const Ended rest = resume("5120");
  INFO(rest.text);
  REQUIRE(rest.code == 0);
  const Json longer = Json::parse(world.content("out/summary.json"));
  CHECK(longer.at("steps") == 80);
  CHECK(longer.at("tokens") == 5120);
  CHECK(world.records("out/steps.jsonl").size() == 80);
  CHECK(world.content("out/steps.jsonl").starts_with(steps));
  CHECK(world.records("out/validation.jsonl").back().at("step") == 80);
  const std::vector<Json> schedule = world.records("out/schedule.jsonl");
  REQUIRE(schedule.size() == 3);
  CHECK(schedule[0].at("steps") == 40);
  CHECK(schedule[1].at("after_step") == 40);
  CHECK(schedule[1].at("steps") == 80);
  CHECK(world.content("out/model/model.safetensors") != model);
  const Ended verified = world.run({"verify", "out"});
  INFO(verified.text);
  CHECK(verified.code == 0);
}

TEST_CASE("templora run pretrain: a full disk is one line, and the state before it is good", "[cli]") {
  const PretrainWorld world;
  const std::vector<std::string> first{"run", "config.json", "--out", "out"},
      again{"run", "config.json", "--out", "out", "--resume"};
  REQUIRE(world.run_config("whole").code == 0);
  REQUIRE(world.run(first, {}, [&](pid_t child) {
            wait_for_steps(world, "out", 10);
            ::kill(child, SIGTERM);
          }).code == int(Exit::interrupted));
  const Ended full = world.run(again, [] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{60000, 60000};  // room for records, none for a state
    ::setrlimit(RLIMIT_FSIZE, &limit);
  });
  INFO(full.text);
  CHECK(full.code == int(Exit::resources));
  CHECK(full.says("state-"));
  const Ended rest = world.run(again);
  INFO(rest.text);
  REQUIRE(rest.code == 0);
  CHECK(curve(world, "out") == curve(world, "whole"));
}

TEST_CASE("templora sweep: a pretraining, which names no model, has cells like any other", "[cli]") {
  const PretrainWorld world;
  world.write("sweep.json", Json{{"base", "config.json"}, {"axes", {{"pretrain.learning_rate", {0.01, 0.02}}}}}.dump());
  const Ended ended = world.run({"sweep", "sweep.json", "--out", "sweep"});
  INFO(ended.text);
  CHECK(ended.code == 0);
  CHECK(ended.says("2 done"));
}

TEST_CASE("templora run pretrain: bad input is one line that names it", "[cli]") {
  const PretrainWorld world;
  const auto refused = [&](const std::vector<std::pair<std::string, Json>>& changes, Exit code,
                           const std::string& part) {
    world.write_pretrain(changes);
    const Ended ended = world.run_config("bad");
    INFO(ended.text);
    CHECK(ended.code == int(code));
    CHECK(ended.says(part));
  };
  world.write("empty.txt", "  \n");
  refused({}, Exit::bad_input, "empty.txt");
  fs::remove(world.folder / "empty.txt");
  refused({{"data.books", {"held.txt"}}}, Exit::bad_input, "data.books");
  refused({{"data.exclude", Json::array()}}, Exit::usage, "data.exclude");
  refused({{"data.max_tokens", 1000}}, Exit::usage, "data.max_tokens");
  world.write("copy.txt", "  " + world.content("held.txt"));  // a book, and by another name held back
  refused({}, Exit::usage, "holds the same text as");
  fs::remove(world.folder / "copy.txt");
  refused({{"data.validation", {"nothing-*.txt"}}}, Exit::bad_input, "nothing-*.txt");
  refused({{"data.validation", Json::array()}}, Exit::usage, "data.validation");
  refused({{"pretrain.sequence_tokens", 1 << 20}}, Exit::bad_input, "pretrain.sequence_tokens");
  refused({{"pretrain.heads", 5}}, Exit::usage, "pretrain.hidden");
  refused({{"pretrain.kv_heads", 3}}, Exit::usage, "pretrain.kv_heads");
  refused({{"pretrain.micro_sequences", 3}}, Exit::usage, "pretrain.micro_sequences");
  refused({{"model.tokenizer", nullptr}}, Exit::usage, "model.tokenizer");
  refused({{"model.rope_scaling", {{"rope_type", "linear"}, {"factor", 2}}}}, Exit::usage, "model.rope_scaling");
  refused({{"pretrain.learning_rate", 1e30}, {"pretrain.warmup_steps", 0}, {"pretrain.clip_norm", 0}}, Exit::numerics,
          "learning_rate");
}
