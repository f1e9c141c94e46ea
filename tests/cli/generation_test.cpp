#include <cstring>

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
  const std::vector<std::string> common{
      "--set", "window.chunk_tokens=24", "--set", "train.prefix_tokens=40", "--set", "lora.rank=4",
      "--set", "run.threads=1",          "--set", "generate.temperature=1"};
  const auto generate = [&](std::vector<std::string> arguments) {
    std::vector<std::string> all{"generate", "--model", "model"};
    all.insert(all.end(), common.begin(), common.end());
    all.insert(all.end(), arguments.begin(), arguments.end());  // the last --set of a key wins
    return world.run(all);
  };
  const Ended whole = generate(
      {"--prompt", "A lazy dog", "--tokens", "120", "--out", "whole", "--set", "generate.snapshot_every_chunks=2"});
  INFO(whole.text);
  REQUIRE(whole.code == 0);
  CHECK(fs::exists(world.folder / "whole/snapshots/2/adapter_model.safetensors"));
  REQUIRE(generate({"--from-snapshot", "whole/snapshots/2", "--tokens", "120", "--out", "branch"}).code == 0);
  CHECK(world.content("branch/text.txt") == world.content("whole/text.txt"));
  REQUIRE(generate({"--from-snapshot", "whole/snapshots/2", "--tokens", "120", "--out", "other", "--set",
                    "generate.temperature=0.2"})
              .code == 0);
  CHECK(world.content("other/text.txt") != world.content("whole/text.txt"));
  CHECK(world.content("other/text.txt").substr(0, 10) == world.content("whole/text.txt").substr(0, 10));

  const auto refused = [&](const std::vector<std::string>& arguments, int code, const std::string& part) {
    std::vector<std::string> all{"--from-snapshot", "whole/snapshots/2", "--out", "refused"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ended ended = generate(all);
    INFO(ended.text);
    CHECK(ended.code == code);
    CHECK(ended.says(part));
    CHECK(ended.lines() <= 2);  // the run folder's name, and the error
    CHECK_FALSE(fs::exists(world.folder / "refused"));
  };
  refused({"--tokens", "48"}, 2, "the snapshot has 48 of generate.tokens 48; raise generate.tokens");
  const std::string state = world.content("whole/snapshots/2/state.json");
  const std::vector<std::tuple<std::string, Json, std::string>> damages{
      {"/state/text", Json::array(), "state.text"},
      {"/state/text/3", "x", "state.text"},
      {"/state/text/3", 1.5, "state.text"},
      {"/state/text/3", -1, "state.text"},
      {"/state/text/3", 1000000, "vocabulary"},
      {"/state/prompt_tokens", 0, "state.prompt_tokens"},
      {"/state/prompt_tokens", 100000, "state.prompt_tokens"},
      {"/state/learnt", 1000, "do not fit each other"},
      {"/state/drawn", Json::array(), "do not fit each other"},
      {"/weights_hash", "another", "model.path"},
      {"/tokenizer_hash", "another", "model.tokenizer"}};
  for (const auto& [pointer, value, part] : damages) {
    Json damaged = Json::parse(state);
    damaged[Json::json_pointer(pointer)] = value;
    world.write("whole/snapshots/2/state.json", damaged.dump());
    INFO(pointer);
    refused({"--tokens", "120"}, 3, part);
  }
  world.write("whole/snapshots/2/state.json", state);
  const std::string file = "whole/snapshots/2/state.safetensors";
  std::string bytes = world.content(file);
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  const Json offsets = Json::parse(bytes.substr(8, length)).at("lora.generator").at("data_offsets");
  for (auto i = offsets.at(0).get<std::size_t>(); i < offsets.at(1).get<std::size_t>(); ++i)
    bytes[8 + length + i] = '\0';
  world.write(file, bytes);
  refused({"--tokens", "120"}, 3, "lora.generator");
}

TEST_CASE("templora generate: a stop string of any length ends a text, and not the branch from its end", "[cli]") {
  const World world;
  const auto generate = [&](std::vector<std::string> arguments) {
    std::vector<std::string> all{"generate",
                                 "--model",
                                 "model",
                                 "--set",
                                 "window.chunk_tokens=24",
                                 "--set",
                                 "train.prefix_tokens=40",
                                 "--set",
                                 "lora.rank=4",
                                 "--set",
                                 "run.threads=1",
                                 "--set",
                                 "generate.temperature=1"};
    all.insert(all.end(), arguments.begin(), arguments.end());
    const Ended ended = world.run(all);
    INFO(ended.text);
    REQUIRE(ended.code == 0);
  };
  const auto tokens_of = [&](const std::string& out) {
    std::int64_t tokens = 0;
    for (const Json& chunk : world.records(out + "/chunks.jsonl")) tokens += chunk.at("tokens").get<std::int64_t>();
    return tokens;
  };
  generate({"--prompt", "A lazy dog", "--tokens", "200", "--out", "whole"});
  // Nearly all of its first five chunks as one string. At both ends of it, bytes depend on the neighbours: they are
  // left out.
  std::vector<std::int64_t> ids;
  for (const Json& chunk : world.records("whole/chunks.jsonl"))
    for (const Json& id : chunk.at("token_ids"))
      if (ids.size() < 120) ids.push_back(id.get<std::int64_t>());
  const std::string text = Tokenizer(world.folder / "model").decode({ids.begin() + 4, ids.end() - 4}, true);
  std::size_t begin = 12, end = text.size() - 12;
  while ((text[begin] & 0xC0) == 0x80) ++begin;
  while ((text[end] & 0xC0) == 0x80) --end;
  const std::string stop = "generate.stop=" + Json::array({text.substr(begin, end - begin)}).dump();
  generate({"--prompt", "A lazy dog", "--tokens", "200", "--out", "stopped", "--set", stop, "--set",
            "generate.snapshot_every_chunks=5"});
  CHECK(tokens_of("stopped") < 120);
  CHECK(tokens_of("stopped") > 96);
  generate({"--from-snapshot", "stopped/snapshots/5", "--tokens", "200", "--out", "branch", "--set", stop});
  CHECK(tokens_of("stopped") + tokens_of("branch") == 200);
}

TEST_CASE("templora generate: what cannot be written is refused in one line", "[cli]") {
  const World world;
  const std::vector<std::tuple<std::vector<std::string>, int, std::string>> cases{
      {{"--tokens", "10"}, 2, "generate.prompt"},
      {{"--prompt", "x", "--prompt-file", "book.txt"}, 2, "generate.prompt_file"},
      {{"--prompt-file", "nowhere.txt"}, 3, "nowhere.txt"},
      {{"--from-snapshot", "model"}, 3, "state.json"},
      {{"--prompt", "x", "--set", "window.chunk_tokens=4000"}, 2, "positions"},
      {{"--prompt", "x", "--set", "generate.max_new_tokens=50"}, 2, "generate.max_new_tokens"},
      {{"--prompt", "x", "--set", "window.first_chunk_tokens=5"}, 2, "window.first_chunk_tokens"},
      {{"--prompt", "x", "--set", R"(generate.stop=["</s>"])"}, 2, "generate.stop: got \"</s>\""},
      {{"--prompt", "x", "--set", "cache.policy=refill", "--set", "cache.refill_tokens=9999"},
       2,
       "cache.refill_tokens"}};
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

TEST_CASE("templora generate: a prompt that is cut is said to be, and one that is learnt shows how far", "[cli]") {
  const World world;
  const auto generate = [&](const std::string& out, std::vector<std::string> more) {
    std::vector<std::string> all{"generate", "--model", "model", "--prompt-file", "book.txt", "--tokens",     "10",
                                 "--out",    out,       "--set", "lora.rank=2",   "--set",    "run.threads=1"};
    all.insert(all.end(), more.begin(), more.end());
    const Ended ended = world.run(all);
    INFO(ended.text);
    REQUIRE(ended.code == 0);
    return ended;
  };
  const Ended cut = generate("cut", {});
  INFO(cut.text);
  CHECK(cut.says("of which the first chunk sees 64 (cache.policy \"rebuild\")"));
  CHECK(cut.says("generate.learn_prompt"));
  CHECK(world.records("cut/chunks.jsonl").at(0).at("context_tokens") == 64);
  const Ended learnt = generate("learnt", {"--set", "generate.learn_prompt=true"});
  INFO(learnt.text);
  CHECK(learnt.says("100.0%"));
  CHECK_FALSE(learnt.says("of which the first chunk sees"));
}

TEST_CASE("templora run: a generation that is stopped while it learns its prompt goes on to the same text", "[cli]") {
  const World world;
  write_generation_config(world, {{"generate.prompt", Json()},
                                  {"generate.prompt_file", "book.txt"},
                                  {"generate.tokens", 30},
                                  {"generate.learn_prompt", true}});
  REQUIRE(world.run_config().code == 0);
  const Ended stopped = world.run({"run", "config.json", "--out", "again"}, {}, [&](pid_t child) {
    const fs::path states = world.folder / "again/state";  // the first state is that of the prompt's first chunk
    for (int i = 0; i < 20000 && (!fs::exists(states) || fs::is_empty(states)); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(child, SIGTERM);
  });
  INFO(stopped.text);
  REQUIRE(stopped.code == 75);
  const Ended resumed = world.run({"run", "config.json", "--out", "again", "--resume"});
  INFO(resumed.text);
  REQUIRE(resumed.code == 0);
  CHECK(world.content("again/text.txt") == world.content("out/text.txt"));
}

TEST_CASE("templora run: perplexity through a kept cache is stopped and goes on with the same bits", "[cli]") {
  const World world;
  world.write_config({{"cache.policy", "refill"},
                      {"cache.refill_tokens", 16},
                      {"cache.window_tokens", 100},
                      {"cache.measure_staleness", true}});
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
