#include "browse/run_list.h"

#include "../report/made_runs.h"
#include "browse/run_sources.h"
#include "catch.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Three finished runs and one that was stopped, at several depths.
struct Runs {
  Runs() {
    make_run(folder / "a", {.gain = 0.1, .config_hash = "aaaaaaaaaaaa"});
    make_run(folder / "deep/er/20260102-030405-bbbbbbbbbbbb", {.chunk_tokens = 40, .gain = 0.3});
    make_run(folder / "c", {.chunk_tokens = 40, .seed = 7, .gain = 0.2, .config_hash = "cccccccccccc"});
    make_run(folder / "stopped", {.chunk_tokens = 30, .gain = 0.2, .finished = false});
    change_record(folder / "c", [](Json& record) {
      record["name"] = "third";
      record["tags"] = {"paper", "old"};
      record["started"] = "2026-11-29T19:06:37+0000";
    });
  }
  std::vector<ListedRun> list() {
    std::vector<std::string> remarks;
    auto runs = list_runs(find_runs({folder.path().string()}, remarks), remarks);
    CHECK(remarks.empty());
    return runs;
  }
  std::vector<std::string> names(const std::string& where) {
    const Expression condition = read_condition(where);
    std::vector<std::string> names;
    for (const ListedRun& run : list())
      if (holds_for(condition, run)) names.push_back(run.name);
    return names;
  }
  TempFolder folder;
};

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("list_runs: finds runs at any depth, once, and says what they are called and when they began", "[unit]") {
  Runs runs;
  fs::create_directory_symlink(runs.folder / "a", runs.folder / "link");
  fs::create_directory_symlink("..", runs.folder / "deep/loop");
  const auto list = runs.list();
  REQUIRE(list.size() == 4);
  CHECK(list[0].name == "a");
  CHECK(list[1].name == "third");
  CHECK(list[1].tags == Names{"paper", "old"});
  CHECK(list[1].date == "2026-11-29 19:06");
  CHECK(list[2].date == "2026-01-02 03:04");  // as 0.1 named its folders
  CHECK(list[0].date.size() == 16);
  CHECK(list[3].state == "interrupted");
  CHECK(list[3].progress.lora);
}

TEST_CASE("list_runs: a sweep's cell is called by the sweep and the swept values that differ", "[unit]") {
  Runs runs;
  const auto cell = [&](const std::string& name, const std::string& sweep) {
    return RunSource{runs.folder / name, name, {{"window.chunk_tokens", "0"}, {"score.base", "true"}}, {}, sweep};
  };
  std::vector<std::string> remarks;
  auto list = list_runs({cell("a", "grid"), cell("c", "grid"), cell("stopped", "grid")}, remarks);
  REQUIRE(list.size() == 3);
  CHECK(list[0].name == "grid: Δ 50");  // score.base is the same in all, seeds differ and were not swept
  CHECK(list[1].name == "third");
  CHECK(list[2].name == "grid: Δ 30");
  list = list_runs({{runs.folder / "a", "a", {{"seed", "42"}}, {}, "seeds"}, cell("stopped", "")}, remarks);
  CHECK(list[0].name == "seeds: seed 42");
  CHECK(list[1].name == "stopped");
}

TEST_CASE("list: --where takes config keys and what came out; a run that lacks the number is left out", "[unit]") {
  Runs runs;
  CHECK(runs.names("window.chunk_tokens == 40") == Names{"third", "20260102-030405-bbbbbbbbbbbb"});
  CHECK(runs.names("seed == 7 && state == 'finished'") == Names{"third"});
  CHECK(runs.names("change < -8 and change > -25") == Names{"third", "20260102-030405-bbbbbbbbbbbb", "stopped"});
  CHECK(runs.names("train.epochs == 2").size() == 4);  // the default, which these records do not name
  CHECK(runs.names("window.first_chunk_tokens > 5").empty());
  CHECK(runs.names("name == 'third'") == Names{"third"});
  CHECK(runs.names("window.first_chunk_tokens == null").size() == 4);
  CHECK(thrown_by([&] { runs.names("train.epoch == 2"); }).says("the nearest known key is train.epochs"));
  CHECK(thrown_by([&] { runs.names("chang == 2"); }).says("or one of date, name"));
  CHECK(thrown_by([&] { runs.names("seed"); }).says("wanted true or false"));
  CHECK(thrown_by([&] { runs.names("seed == 'x'"); }).says("wanted two of a kind"));
  CHECK(thrown_by([&] { runs.names("seed = 7"); }).code == Exit::usage);
}

TEST_CASE("list: sorts by numbers and texts, what has none comes last", "[unit]") {
  Runs runs;
  change_record(runs.folder / "a", [](Json& record) { record["config"]["window"]["chunk_tokens"] = 1000; });
  const auto sorted = [&](const std::string& key, bool reverse) {
    auto list = runs.list();
    sort_runs(list, key, reverse);
    Names names;
    for (const ListedRun& run : list) names.push_back(run.name.substr(0, 7));
    return names;
  };
  CHECK(sorted("window.chunk_tokens", false) == Names{"stopped", "third", "2026010", "a"});
  CHECK(sorted("change", false).front() == "2026010");
  CHECK(sorted("change", true).back() == "2026010");
  fs::remove(runs.folder / "stopped/chunks.jsonl");
  CHECK(sorted("change", true).back() == "stopped");
  CHECK(sorted("change", false).back() == "stopped");
}

TEST_CASE("list: a line a run with the settings that differ", "[unit]") {
  Runs runs;
  const auto list = runs.list();
  const auto settings = differing_settings(list);
  CHECK(settings[0].starts_with("Δ 50"));
  CHECK(settings[1].find("seed 7") != std::string::npos);
  const std::string text = list_text(list);
  CHECK(std::count(text.begin(), text.end(), '\n') == 5);
  CHECK(text.find("third #paper #old") != std::string::npos);
  CHECK(list_json(list).at(1).at("progress").at("state") == "finished");
  CHECK(list_text({}).find("change %") != std::string::npos);
}

TEST_CASE("list: lists of texts are short, and a key that another experiment lacks is no difference", "[unit]") {
  Runs runs;
  for (const char* run : {"a", "c", "stopped", "deep/er/20260102-030405-bbbbbbbbbbbb"})
    change_record(runs.folder / run, [](Json& record) { record["identity"].erase("text_0_hash"); });
  change_record(runs.folder / "a", [](Json& record) {
    record["config"]["data"]["books"] = {"/a/very/long/folder/one.txt", "/b/two.txt", "/c/three.txt"};
    record["config"]["score"]["controls_at"] = 5;
  });
  const auto settings = differing_settings(runs.list());
  CHECK(settings[0].find("data.books one.txt and 2 more") != std::string::npos);
  CHECK(settings[1].find("data.books *.txt") != std::string::npos);
  for (const std::string& text : settings) CHECK(text.find("controls_at") == std::string::npos);
}

TEST_CASE("find_runs: a damaged sweep hides no run, and a folder that is none is named", "[unit]") {
  Runs runs;
  write_file_atomically(runs.folder / "deep/sweep.json", "{\"name\": \"x\"}");
  write_file_atomically(runs.folder / "a/run.json", "{}");
  std::vector<std::string> remarks;
  CHECK(list_runs(find_runs({runs.folder.path().string()}, remarks), remarks).size() == 3);
  REQUIRE(remarks.size() == 2);
  CHECK(remarks[0].find("damaged") != std::string::npos);
  CHECK(remarks[1].find("config: missing") != std::string::npos);
  const Thrown thrown = thrown_by([&] { find_runs({(runs.folder / "none").string()}, remarks); });
  CHECK(thrown.code == Exit::bad_input);
  CHECK(thrown.says("none: no such folder"));
}
