#include <fmt/format.h>
#include <pwd.h>

#include <random>
#include <set>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

/// A world with a base config of a few chunks, and sweep files over it.
struct SweepWorld : World {
  SweepWorld() {
    write("short.txt", content("book.txt").substr(0, 1500));
    write_config({{"data.books", {"short.txt"}}});
    write_sweep(
        {{"axes", {{"lora.rank", {2, 4}}, {"train.epochs", {1, 2}}}}, {"set", {{"lora.alpha", "2 * lora.rank"}}}});
  }
  void write_sweep(Json keys, const std::string& name = "sweep.json") const {
    if (!keys.contains("base")) keys["base"] = "config.json";
    write(name, keys.dump());
  }
  Ended sweep(std::vector<std::string> arguments = {}, const std::string& file = "sweep.json",
              const std::string& out = "out") const {
    arguments.insert(arguments.begin(), {"sweep", file, "--out", out});
    return run(arguments);
  }
  Json status(const std::string& out = "out") const {
    const Ended ended = run({"status", out, "--json"});
    REQUIRE(ended.code == 0);
    return Json::parse(ended.text);
  }
  std::vector<std::string> keys(const std::string& out = "out") const {
    std::vector<std::string> keys;
    const Json sweep = Json::parse(content(out + "/sweep.json"));
    for (const Json& cell : sweep.at("cells")) keys.push_back(cell.at("key").get<std::string>());
    return keys;
  }
  /// All NLLs of a cell.
  std::string nll(const std::string& key, const std::string& cells = "out/cells") const {
    return content(cells + "/" + key + "/nll/0-base.f32") + content(cells + "/" + key + "/nll/0-lora.f32");
  }
  /// How often a cell's run was started and ended well: a finished run prints its table into the log.
  int tables(const std::string& key) const {
    const std::string log = content("out/cells/" + key + ".log");
    int count = 0;
    const std::string head = "| segment | books |";
    for (std::size_t at = log.find(head); at != std::string::npos; at = log.find(head, at + 1))
      ++count;
    return count;
  }
};

}  // namespace

TEST_CASE("templora sweep: runs every cell once, and never a finished one again", "[cli]") {
  const SweepWorld world;
  const Ended planned = world.sweep({"--dry-run"});
  INFO(planned.text);
  CHECK(planned.code == 0);
  CHECK(planned.says("4 cells"));
  CHECK(planned.says("computes a chunk or some to see how fast this machine is"));
  CHECK(planned.says("at the speed of the first "));
  CHECK(world.sweep({"--dry-run", "--device", "H100"}).says("at least 0:00 are left, on H100, by its peaks"));
  world.refuses({"sweep", "sweep.json", "--device", "H100"}, 2, "--device: is for --dry-run only");
  CHECK_FALSE(fs::exists(world.folder / "out"));
  const Ended ended = world.sweep({"--workers", "2"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("4 done"));
  std::size_t at = 0;  // the cells count as they begin, and are named
  for (int number = 1; number <= 4; ++number) {
    at = ended.text.find(fmt::format("cell {}/4 (lora.rank=", number), at);
    REQUIRE(at != std::string::npos);
  }
  CHECK(world.status().at("counts").at("done") == 4);
  const auto keys = world.keys();
  CHECK(std::set<std::string>(keys.begin(), keys.end()).size() == 4);
  CHECK(world.nll(keys[0]) != world.nll(keys[1]));
  // The same values, alone and without what a sweep adds: the same bits.
  REQUIRE(world
              .run({"run", "config.json", "--out", "alone", "--set", "lora.rank=4", "--set", "lora.alpha=8", "--set",
                    "train.epochs=2"})
              .code == 0);
  CHECK(world.content("alone/nll/0-lora.f32") == world.content("out/cells/" + keys[3] + "/nll/0-lora.f32"));
  CHECK(world.content("alone/nll/0-base.f32") == world.content("out/cells/" + keys[3] + "/nll/0-base.f32"));

  // Another sweep with its cells in the same store runs the new one only, and links to it; a changed text makes
  // new ones.
  world.write_sweep({{"axes", {{"lora.rank", {4, 6}}}}, {"set", {{"lora.alpha", "2 * lora.rank"}}}}, "other.json");
  REQUIRE(world.sweep({"--store", "out/cells"}, "other.json", "out2").code == 0);
  CHECK(fs::read_symlink(world.folder / ("out2/cells/" + keys[3])) == "../../out/cells/" + keys[3]);
  CHECK(world.keys("out2")[0] == keys[3]);  // two epochs are the default
  CHECK(world.tables(keys[3]) == 1);
  world.write("short.txt", world.content("book.txt").substr(100, 1200));
  CHECK(world.sweep({"--dry-run"}).says("waiting"));
  REQUIRE(world.sweep().code == 0);
  CHECK(world.keys()[0] != keys[0]);
}

TEST_CASE("templora sweep: the base model's scores of a book are computed once, and have the same bits", "[cli]") {
  const SweepWorld world;
  REQUIRE(world.sweep().code == 0);
  int computed = 0, files = 0;
  for (const std::string& key : world.keys())
    computed += world.content("out/cells/" + key + "/chunks.jsonl").find("score_base") != std::string::npos;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(world.folder / "out/cells/base_scores")) ++files;
  CHECK(computed == 1);
  CHECK(files == 1);
  CHECK(world.content("out/cells/" + world.keys()[0] + "/nll/0-base.f32") ==
        world.content("out/cells/" + world.keys()[3] + "/nll/0-base.f32"));
  // A run that was stopped before the scores were known goes on with them.
  REQUIRE(world.run({"run", "config.json", "--out", "parts"}, {}, [&](pid_t child) {
            world.wait_for_chunks("parts", 4);
            ::kill(child, SIGTERM);
          }).code == 75);
  REQUIRE(
      world
          .run({"run", "config.json", "--out", "parts", "--resume", "--set", "score.base_scores=out/cells/base_scores"})
          .code == 0);
  CHECK(world.content("parts/nll/0-base.f32") == world.content("out/cells/" + world.keys()[0] + "/nll/0-base.f32"));
}

TEST_CASE("templora sweep: a cell that fails leaves the others alone, says why, and may be tried again", "[cli]") {
  const SweepWorld world;
  world.write_sweep(
      {{"axes", {{"window.chunk_tokens", {16, 1000}}}}});  // the second is longer than the model's positions
  const Ended ended = world.sweep({"--workers", "2"});
  INFO(ended.text);
  CHECK(ended.code == 2);
  CHECK(ended.says("1 of 2 cells failed"));
  const Json status = world.status();
  CHECK(status.at("counts").at("done") == 1);
  const Json& failed = status.at("cells").at(1);
  CHECK(failed.at("state") == "failed");
  CHECK(failed.at("exit_code") == 2);
  CHECK(failed.at("line").get<std::string>().find("the model has 128 positions") != std::string::npos);
  CHECK(fs::exists(failed.at("log").get<std::string>()));
  CHECK(world.sweep().code == 2);  // stays failed …
  Json model = Json::parse(world.content("model/config.json"));
  const std::string log = world.content("out/cells/" + failed.at("key").get<std::string>() + ".log");
  CHECK(std::count(log.begin(), log.end(), '\n') < 4);
  CHECK(world.sweep({"--retry-failed"}).code == 2);  // … and fails again
  CHECK(world.content("out/cells/" + failed.at("key").get<std::string>() + ".log").size() > log.size());
}

TEST_CASE("templora sweep: stopped by SIGTERM, it saves its cells, ends with 75, and the same command goes on",
          "[cli]") {
  const SweepWorld world;
  const Ended stopped = world.run({"sweep", "sweep.json", "--out", "out", "--workers", "2"}, {}, [&](pid_t child) {
    const fs::path first = world.folder / "out/sweep.json";
    for (int i = 0; i < 10000 && !fs::exists(first); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    ::kill(child, SIGTERM);
  });
  INFO(stopped.text);
  CHECK(stopped.code == 75);
  CHECK(stopped.says("the same command goes on"));
  int interrupted = 0;
  const Json cells = world.status().at("cells");
  for (const Json& cell : cells) {
    CHECK(cell.at("state") != "running");
    const bool begun = fs::exists(fs::path(cell.at("folder").get<std::string>()) / "run.json");
    CHECK((cell.at("state") == "interrupted") == (begun && cell.at("state") != "done"));
    interrupted += cell.at("state") == "interrupted";
    if (cell.at("state") != "interrupted") continue;
    CHECK(cell.at("progress").at("state") == "interrupted");
    CHECK(cell.at("progress").at("total_tokens").get<int>() > 0);
  }
  CHECK(world.run({"status", "out"}).says(std::to_string(interrupted) + " interrupted"));
  CHECK(world.sweep({"--workers", "2"}).code == 0);
}

TEST_CASE(
    "templora sweep: killed at random moments and restarted, every cell is there once with the bits of an undisturbed "
    "sweep",
    "[cli]") {
  const SweepWorld world;
  world.write("short.txt", world.content("book.txt"));
  REQUIRE(world.sweep({"--workers", "2", "--cells", "whole"}, "sweep.json", "undisturbed").code == 0);
  std::mt19937 random(7);
  int kills = 0;
  for (int attempt = 0; attempt < 60; ++attempt) {
    const int wait_ms = 50 + int(random() % 1200);
    const Ended ended = world.run({"sweep", "sweep.json", "--out", "out", "--workers", "2"}, {}, [&](pid_t child) {
      if (attempt >= 6) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
      ::kill(child, SIGKILL);
    });
    INFO(ended.text);
    if (ended.code == 0) break;
    REQUIRE(ended.code == -SIGKILL);
    ++kills;
  }
  CHECK(kills >= 1);
  const auto keys = world.keys();
  CHECK(keys == world.keys("undisturbed"));
  for (const std::string& key : keys) {
    CHECK(world.nll(key) == world.nll(key, "whole"));
    CHECK(world.tables(key) <= 1);  // 0 where it was killed after its summary was written, before its table was printed
    CHECK_FALSE(fs::exists(world.folder / ("out/cells/" + key + ".claims")));
  }
}

TEST_CASE("templora sweep: what a killed owner left of its claim on a done cell is removed", "[cli]") {
  const SweepWorld world;
  REQUIRE(world.sweep().code == 0);
  const auto keys = world.keys();
  for (int i = 0; i < 3; ++i) fs::create_directories(world.folder / ("out/cells/" + keys[std::size_t(i)] + ".claims"));
  // The first was killed between the claim's file and its folder, the others as below.
  world.write("out/cells/" + keys[1] + ".claims/new-0123.tmp-7-1", "{");        // killed while it wrote
  fs::remove_all(world.folder / ("out/cells/" + keys[2]));  // the same, of a cell that is still to be run
  world.write("out/cells/" + keys[2] + ".claims/new-0123", "{}");                // and before it took a number
  REQUIRE(world.sweep().code == 0);
  REQUIRE(world.tables(keys[2]) >= 1);
  for (const std::string& key : keys) CHECK_FALSE(fs::exists(world.folder / ("out/cells/" + key + ".claims")));
}

TEST_CASE("templora sweep: a copied folder is whole, and one without its store says so", "[cli]") {
  const SweepWorld world;
  REQUIRE(world.sweep().code == 0);
  const std::string report = world.run({"report", "out", "--format", "csv"}).text;
  fs::create_directories(world.folder / "elsewhere");
  fs::copy(world.folder / "out", world.folder / "elsewhere/copy", fs::copy_options::recursive);
  fs::rename(world.folder / "out", world.folder / "gone");
  CHECK(world.status("elsewhere/copy").at("counts").at("done") == 4);
  CHECK(world.run({"sweep", "elsewhere/copy"}).code == 0);  // nothing is left to do there
  CHECK(world.run({"report", "elsewhere/copy", "--format", "csv"}).text.size() > 1000);
  fs::rename(world.folder / "gone", world.folder / "out");
  CHECK(world.run({"report", "out", "--format", "csv"}).text == report);

  REQUIRE(world.sweep({"--store", "store"}, "sweep.json", "linked").code == 0);
  const std::string key = world.keys("linked")[0];
  CHECK(fs::read_symlink(world.folder / ("linked/cells/" + key)) == "../../store/" + key);
  CHECK(fs::exists(world.folder / ("linked/cells/" + key + "/summary.json")));
  CHECK(world.status("linked").at("counts").at("done") == 4);
  fs::rename(world.folder / "linked", world.folder / "elsewhere/linked");
  for (const char* command : {"status", "report", "sweep"})
    world.refuses({command, "elsewhere/linked"}, 3, "which is not there: was the folder copied or moved without it?");
  world.refuses({"sweep", "sweep.json", "--out", "elsewhere/linked"}, 3, "--store");
  CHECK(world.sweep({"--store", "store"}, "sweep.json", "elsewhere/linked").code == 0);
  CHECK(world.status("elsewhere/linked").at("counts").at("done") == 4);
}

TEST_CASE("templora sweep: a sweep of 0.1 goes on in the store beside its folder", "[cli]") {
  const SweepWorld world;
  REQUIRE(world.sweep({"--store", "cells"}).code == 0);
  const auto keys = world.keys();
  fs::remove_all(world.folder / "out/cells");  // as 0.1 left it, which made no links
  fs::remove_all(world.folder / ("cells/" + keys[1]));
  CHECK(world.status().at("counts").at("waiting") == 1);
  REQUIRE(world.sweep().code == 0);
  CHECK(fs::exists(world.folder / ("cells/" + keys[1] + "/summary.json")));
  CHECK(world.status().at("counts").at("done") == 4);
}

TEST_CASE("templora sweep: two of the same sweep share the work", "[cli]") {
  const SweepWorld world;
  Ended second;
  const Ended first = world.run({"sweep", "sweep.json", "--out", "out"}, {}, [&](pid_t) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    const std::string command = "cd '" + world.folder.path().string() +
                                "' && '" TEMPLORA_BINARY_DIR "/templora' sweep sweep.json --out out > log2 2>&1";
    second.code = WEXITSTATUS(std::system(command.c_str()));
  });
  INFO(first.text + world.content("log2"));
  CHECK(first.code == 0);
  CHECK(second.code == 0);
  for (const std::string& key : world.keys()) CHECK(world.tables(key) == 1);
}

TEST_CASE("templora sweep: bad files and folders end in one line and their exit code", "[cli]") {
  const SweepWorld world;
  const auto refused = [&](const Json& keys, const std::string& part) {
    world.write_sweep(keys, "bad.json");
    const Ended ended = world.sweep({}, "bad.json", "bad");
    INFO(ended.text);
    CHECK(ended.code == 2);
    CHECK(ended.lines() == 1);
    CHECK(ended.says(part));
    CHECK_FALSE(fs::exists(world.folder / "bad"));
  };
  refused({{"axes", {{"lora.rnk", {2}}}}}, "the nearest known key is lora.rank");
  refused({{"axes", {{"lora.rank", Json::array()}}}}, "the grid is empty");
  refused({{"axes", {{"lora.rank", {2}}}}, {"set", {{"lora.rank", 4}}}}, "is in axes too");
  refused({{"where", {"lora.rank > > 2"}}}, "character 13");
  refused({{"axes", {{"lora.rank", {"two"}}}}}, "lora.rank: got \"two\"");
  Json many = Json::array();
  for (int i = 1; i <= 1001; ++i) many.push_back(i);
  refused({{"axes", {{"lora.rank", many}, {"seed", many}}}}, "wanted at most 1000000");
  CHECK(world.run({"status", "nowhere"}).code == 3);
  CHECK(world.run({"sweep", "nowhere.json"}).code == 2);
  CHECK(world.sweep({"--workers", "0"}).code == 2);

  REQUIRE(world.sweep().code == 0);
  world.write_sweep({{"axes", {{"lora.rank", {2}}}}});
  const Ended another = world.sweep();
  CHECK(another.code == 2);
  CHECK(another.says("which is another one: axes, set differs"));
}

TEST_CASE("templora sweep: a folder that became read-only is named, and nothing is lost", "[cli]") {
  const SweepWorld world;
  const passwd* nobody = ::getpwnam("nobody");
  if (::geteuid() == 0 && nobody == nullptr) {
    WARN("skipped: no user to become");
    return;
  }
  REQUIRE(world.sweep().code == 0);
  world.write("short.txt", world.content("book.txt").substr(0, 900));  // so that there is something to do
  for (const char* folder : {".", "out", "out/cells"})
    fs::permissions(world.folder / folder, fs::perms(0555));
  world.write("log", "");
  const Ended ended = world.run({"sweep", "sweep.json", "--out", "out"}, [&] {
    if (::geteuid() == 0 && (::setgid(nobody->pw_gid) != 0 || ::setuid(nobody->pw_uid) != 0)) ::_exit(126);
  });
  INFO(ended.text);
  if (ended.code == 127) {
    WARN("skipped: another user cannot start the program");
  } else {
    CHECK(ended.code == 4);
    CHECK(ended.lines() == 1);
    CHECK(ended.says("Permission denied"));
    CHECK(world.status().at("counts").at("done") == 4);
  }
  for (const char* folder : {".", "out", "out/cells"}) fs::permissions(world.folder / folder, fs::perms(0755));
}
