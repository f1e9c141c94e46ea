#include <algorithm>
#include <set>

#include "catch.h"
#include "program.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

/// A world with two books that have room for facts.
class RecallWorld : public VerifyWorld {
 public:
  RecallWorld() {
    for (const char* name : {"book.txt", "other.txt"}) {
      std::string text;
      for (int i = 0; i < 170; ++i)
        text += std::string(name == std::string("book.txt") ? "The quick brown fox" : "A lazy dog") + ", number " +
                std::to_string(i) + ", jumps over the wall and is gone. ";
      write(name, text + "The end.");
    }
  }
  static Changes recall(const Changes& more = {}) {
    return Changes{{"data.books", {"book.txt"}},
                   {"window", {{"chunk_tokens", 160}, {"context_tokens", 160}}},
                   {"train.prefix_tokens", 40},
                   {"recall",
                    {{"facts", 24},
                     {"repeats", 2},
                     {"plant_from_tokens", 100},
                     {"plant_to_tokens", 5500},
                     {"ask_after_tokens", {0, 700}},
                     {"answer_tokens", 30}}}} +
           more;
  }
};

std::string all_of(const World& world, const std::string& out) {
  std::string all;
  for (const char* name : {"facts.jsonl", "probes.jsonl", "recall.json", "recall.md", "table.md", "nll/0-lora.f32"})
    all += world.content(out + "/" + name);
  return all;
}

}  // namespace

TEST_CASE("recall: a run plants facts, asks for them and says what was recalled", "[cli]") {
  const RecallWorld world;
  world.write_config(RecallWorld::recall(
      {{"data.books", {"book.txt", "other.txt"}}, {"control", {"other_book"}}, {"score.keep_tokens", true}}));
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("What was recalled"));
  const Json recall = Json::parse(world.content("out/recall.json"));
  CHECK(recall.at("books") == 2);
  CHECK(recall.at("facts") == 48);
  CHECK(recall.at("floor") == "other_book");
  CHECK(recall.at("gates").size() == 4);
  std::set<std::string> arms, rungs;
  for (const Json& row : recall.at("rows")) {
    rungs.insert(row.at("rung"));
    for (const auto& [arm, score] : row.at("arms").items()) arms.insert(arm);
  }
  CHECK(arms == std::set<std::string>{"base", "lora", "other_book", "in_window", "bm25"});
  CHECK(rungs.size() == 8);
  // Another text's names are other names.
  std::set<std::string> subjects;
  for (const Json& fact : world.records("out/facts.jsonl"))
    CHECK(subjects.insert(fact.at("subject").get<std::string>()).second);
  const Json run = Json::parse(world.content("out/run.json"));
  for (const char* book : {"0", "1"})
    CHECK(run.at("identity").at("unplanted_text_" + std::string(book) + "_hash") !=
          run.at("identity").at("text_" + std::string(book) + "_hash"));
  // Time of its own, and none of the FLOPs.
  bool timed = false;
  for (const Json& chunk : world.records("out/chunks.jsonl")) timed |= chunk.at("seconds").contains("recall");
  CHECK(timed);
  CHECK(Json::parse(world.content("out/summary.json")).at("cost").at("phases").at("recall").at("flops") == 0);
  const Ended verified = world.run({"verify", "out", "--replay", "2"});
  INFO(verified.text);
  CHECK(verified.code == 0);
  const Ended report = world.run({"report", "out"});
  CHECK(report.code == 0);
  CHECK(report.says("Recall: out"));
}

TEST_CASE("recall: questions change no number of the run", "[cli]") {
  const RecallWorld world;
  world.write_config(RecallWorld::recall());
  REQUIRE(world.run_config("asked").code == 0);
  world.write_config(RecallWorld::recall({{"recall.ask_after_tokens", {100000}}}));
  const Ended ended = world.run_config("silent");
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("ends before any fact could be asked"));
  for (const char* name : {"nll/0-base.f32", "nll/0-lora.f32", "facts.jsonl", "table.md"})
    CHECK(world.content(std::string("asked/") + name) == world.content(std::string("silent/") + name));
  CHECK(world.run({"verify", "silent"}).code == 0);
}

TEST_CASE("recall: stopped, killed and resumed, a run has the questions of an undisturbed one", "[cli]") {
  const RecallWorld world;
  world.write_config(RecallWorld::recall());
  REQUIRE(world.run_config("whole").code == 0);
  const std::vector<std::string> resume{"run", "config.json", "--out", "parts", "--resume"};
  CHECK(world.run({"run", "config.json", "--out", "parts"}, {}, [&](pid_t child) {
               world.wait_for_chunks("parts", 9);
               ::kill(child, SIGTERM);
             }).code == 75);
  CHECK(world.run({"verify", "parts"}).code == 0);  // unfinished, and sound so far
  world.run(resume, {}, [&](pid_t child) {
    world.wait_for_chunks("parts", 16);
    ::kill(child, SIGKILL);
  });
  const Ended ended = world.run(resume);
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(all_of(world, "whole") == all_of(world, "parts"));
}

TEST_CASE("recall: verify finds what was changed", "[cli]") {
  const RecallWorld world;
  world.write_config(RecallWorld::recall());
  REQUIRE(world.run_config().code == 0);
  const std::string facts = world.content("out/facts.jsonl"), probes = world.content("out/probes.jsonl"),
                    table = world.content("out/recall.json"), text = world.content("out/recall.md");
  const auto finds = [&](const std::string& file, const std::string& was, const std::string& content,
                         const std::string& name) {
    world.write("out/" + file, content);
    const Ended ended = world.run({"verify", "out"});
    INFO(name << "\n" << ended.text);
    CHECK(ended.code == 3);
    CHECK(ended.says(name + ": "));
    world.write("out/" + file, was);
  };
  const auto changed = [](std::string content, const std::string& from, const std::string& to) {
    const std::size_t at = content.find(from);
    REQUIRE(at != std::string::npos);
    return content.replace(at, from.size(), to);
  };
  const auto lines = [](const std::string& content, const std::function<void(std::vector<Json>&)>& change) {
    std::vector<Json> all;
    std::istringstream stream(content);
    for (std::string line; std::getline(stream, line);) all.push_back(Json::parse(line));
    change(all);
    std::string out;
    for (const Json& json : all) out += json.dump() + "\n";
    return out;
  };
  // Facts: another answer, another place, one too few.
  finds("facts.jsonl", facts, changed(facts, "\"asked\":true", "\"asked\":false"), "facts");
  finds("facts.jsonl", facts, lines(facts, [](std::vector<Json>& all) {
          Json& mention = all[0]["mentions"][0];
          mention[0] = mention[0].get<int>() + 3;
        }), "planted-text");
  finds("facts.jsonl", facts, lines(facts, [](std::vector<Json>& all) { all.pop_back(); }), "planted-text");
  finds("facts.jsonl", facts, lines(facts, [](std::vector<Json>& all) { all[3].erase("subject"); }), "record-fields");
  // Probes: one missing, one twice, at another chunk, with another rank, by another adapter.
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) { all.erase(all.begin() + 2); }),
        "probe-plan");
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) { all.push_back(all[2]); }), "probe-plan");
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) {
          for (Json& probe : all)
            if (probe["rung"] == "choice") return static_cast<void>(probe["chunk"] = probe["chunk"].get<int>() + 1);
        }), "probe-plan");
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) {
          for (Json& probe : all)
            if (probe["arm"] == "lora") return static_cast<void>(probe["adapter_version"] = 0);
        }), "probe-plan");
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) {
          for (Json& probe : all)
            if (probe["rung"] == "choice" && probe["rank"] != 1) {
              probe["rank"] = 1;
              probe["correct"] = true;
              return;
            }
        }), "probe-rank");
  finds("probes.jsonl", probes, lines(probes, [](std::vector<Json>& all) { all[0]["nll"] = -3; }), "probe-values");
  // Tables.
  finds("recall.json", table, changed(table, "\"asked\": 24", "\"asked\": 25"), "recall-table");
  finds("recall.md", text, changed(text, "/24", "/25"), "recall-table");
  std::filesystem::remove(world.folder / "out/recall.md");
  CHECK(world.run({"verify", "out"}).code == 3);
  world.write("out/recall.md", text);
  CHECK(world.run({"verify", "out"}).code == 0);
}

TEST_CASE("recall: what cannot be asked is refused before anything is written", "[cli]") {
  const RecallWorld world;
  const auto refuses = [&](const Changes& changes, int code, const std::string& words) {
    world.write_config(RecallWorld::recall(changes));
    world.refuses({"run", "config.json", "--out", "none"}, code, words);
    CHECK_FALSE(fs::exists(world.folder / "none"));
  };
  refuses({{"recall.facts", 25}}, 2, "recall.facts: got 25, wanted a multiple of 24");
  refuses({{"recall.facts", -24}}, 2, "recall.facts: got -24");
  refuses({{"recall.plant_to_tokens", 100}}, 2, "recall.plant_to_tokens: got 100, wanted more than");
  refuses({{"data.max_tokens", 3000}}, 2, "recall.plant_to_tokens: got 5500, wanted at most data.max_tokens");
  refuses({{"recall.plant_from_tokens", -1}}, 2, "recall.plant_from_tokens");
  refuses({{"recall.repeats", 0}}, 2, "recall.repeats");
  refuses({{"recall.ask_after_tokens", Json::array()}}, 2, "recall.ask_after_tokens: got []");
  refuses({{"recall.ask_after_tokens", {700, 700}}}, 2, "recall.ask_after_tokens: got [700,700]");
  refuses({{"recall.ask_after_tokens", {-5}}}, 2, "recall.ask_after_tokens[0]");
  refuses({{"recall.answer_tokens", 2}}, 3, "recall.answer_tokens: wanted 48 invented names");
  refuses({{"recall.plant_to_tokens", 1500}}, 3, "ends of sentences between tokens 100 and 1500");
  refuses({{"window.context_tokens", 20}}, 2, "window.context_tokens: got 20");
  refuses({{"window", {{"chunk_tokens", 40}, {"context_tokens", 984}}}}, 2,
          "wanted no more than the model's 1024 positions");
  world.write_config(RecallWorld::generation() + Changes{{"recall.facts", 24}});
  world.refuses({"run", "config.json", "--out", "none"}, 2, "recall.facts");
}
