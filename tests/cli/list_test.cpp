#include <sys/file.h>

#include <cstdio>
#include <set>

#include "catch.h"
#include "metrics/run_progress.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

std::set<std::string> folders(const World& world) {
  std::set<std::string> names;
  if (fs::exists(world.folder / "runs/config"))
    for (const fs::directory_entry& entry : fs::directory_iterator(world.folder / "runs/config"))
      names.insert(entry.path().filename().string());
  return names;
}

Json listed(const World& world, std::vector<std::string> arguments = {}) {
  arguments.insert(arguments.begin(), {"list", "--json"});
  const Ended ended = world.run(arguments);
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  return Json::parse(ended.text);
}

}  // namespace

TEST_CASE("templora run: a name and tags stand beside the identity, name the folder, and find the run again", "[cli]") {
  const World world;
  world.write_config({{"data.max_tokens", 100}});
  REQUIRE(world.run({"run", "config.json"}).code == 0);
  REQUIRE(world.run({"run", "config.json", "--name", "Längste Probe / 2", "--tag", "paper", "--tag", "x"}).code == 0);
  const auto names = folders(world);
  REQUIRE(names.size() == 2);
  CHECK(names.begin()->find("-model-config-") != std::string::npos);
  const std::string& named = *names.rbegin();
  CHECK(named.find("-Längste-Probe-2-") != std::string::npos);
  const Json record = Json::parse(world.content("runs/config/" + named + "/run.json"));
  const Json plain = Json::parse(world.content("runs/config/" + *names.begin() + "/run.json"));
  CHECK(record.at("name") == "Längste Probe / 2");
  CHECK(record.at("tags") == Json{"paper", "x"});
  CHECK(record.at("total_tokens") == 100);
  CHECK(record.at("identity") == plain.at("identity"));
  CHECK_FALSE(plain.contains("name"));

  // The same command with --resume goes on with that run, not with a newer one of the same config.
  fs::remove(world.folder / ("runs/config/" + *names.begin() + "/summary.json"));
  REQUIRE(world.run({"run", "config.json"}).code == 0);
  CHECK(world.run({"run", "config.json", "--name", "Längste Probe / 2", "--tag", "x", "--resume"})
            .says(named + " is finished"));
  CHECK(world.run({"run", "config.json", "--resume"}).says(*folders(world).rbegin() + " is finished"));
  world.refuses({"run", "config.json", "--name", "other", "--resume"}, 2, "no run of this config with this name");
  world.refuses({"run", "config.json", "--resume", "--out", "runs/config/" + named, "--tag", "y"}, 2,
                "not begun with the tag y");
  world.refuses({"run", "config.json", "--name", "a\nb"}, 2, "--name: got");
  world.refuses({"run", "config.json", "--name", " "}, 2, "--name: got");
  world.refuses({"run", "config.json", "--tag", "x", "--tag", "x"}, 2, "--tag: got \"x\" twice");
  world.refuses({"run", "config.json", "--tag", std::string(101, 'x')}, 2, "at most 100 bytes");

  const Json list = listed(world);
  REQUIRE(list.size() == 3);
  CHECK(listed(world, {"--tag", "paper"}).size() == 1);
  CHECK(listed(world, {"--tag", "paper", "--tag", "none"}).empty());
  CHECK(listed(world, {"--where", "name == 'Längste Probe / 2'"}).at(0).at("folder") == "runs/config/" + named);
  CHECK(listed(world, {"--where", "change < 1000", "--sort", "name"}).size() == 3);
  CHECK(listed(world, {"--where", "train.learning_rate == 0.003 && change > 1000"}).empty());
  const Ended text = world.run({"list", "runs", "--sort", "change", "--reverse"});
  CHECK(text.says("base PPL"));
  CHECK(text.says("#paper"));
  world.refuses({"list", "--where", "train.lerning_rate == 1"}, 2, "the nearest known key is train.learning_rate");
  world.refuses({"list", "--where", "seed == "}, 2, "got the end");
  world.refuses({"list", "--sort", "nothing"}, 2, "--sort: nothing");
  world.refuses({"list", "nowhere"}, 3, "no such folder");
}

TEST_CASE("templora list: says which runs are finished, running, interrupted and failed", "[cli]") {
  const World world;
  const auto state = [&](const std::string& out) { return listed(world, {out}).at(0).at("progress"); };
  REQUIRE(world
              .run({"run", "config.json", "--out", "out"}, {},
                   [&](pid_t child) {
                     world.wait_for_chunks("out", 2);
                     CHECK(run_progress(world.folder / "out")->state == RunState::running);
                     ::kill(child, SIGTERM);
                   })
              .code == 75);
  const Json stopped = state("out");
  CHECK(stopped.at("state") == "interrupted");
  CHECK(stopped.at("share").get<double>() > 0);
  CHECK(stopped.at("share").get<double>() < 1);
  CHECK(stopped.at("seconds_left").get<double>() > 0);
  CHECK(stopped.at("text").get<std::string>().find("PPL so far: base ") != std::string::npos);
  // What ends a run by an error stands in its folder until it goes on.
  const std::string book = world.content("book.txt");
  fs::remove(world.folder / "book.txt");
  CHECK(world.run({"run", "config.json", "--out", "out", "--resume"}).code == 3);
  CHECK(state("out").at("state") == "failed");
  CHECK(state("out").at("problem").get<std::string>().find("book.txt") != std::string::npos);
  world.write("book.txt", book);
  CHECK(world.run({"run", "config.json", "--out", "out", "--resume", "--set", "seed=5"}).code == 2);
  CHECK(state("out").at("state") == "failed");  // what does not fit changes nothing
  const Ended resumed = world.run({"run", "config.json", "--out", "out", "--resume"});
  REQUIRE(resumed.code == 0);
  CHECK(resumed.says("PPL so far: base "));
  CHECK(state("out").at("state") == "finished");
  CHECK_FALSE(fs::exists(world.folder / "out/failed.json"));
  const Json all = Json::parse(world.content("out/summary.json")).at("all").back();
  CHECK(state("out").at("lora") == all.at("lora").at("corpus"));
  CHECK(world.run({"verify", "out"}).code == 0);
}

TEST_CASE("templora run: the last progress line has the perplexities of the table, after a stop too", "[cli]") {
  const World world;
  REQUIRE(world
              .run({"run", "config.json", "--out", "out"}, {},
                   [&](pid_t child) {
                     world.wait_for_chunks("out", 4);
                     ::kill(child, SIGTERM);
                   })
              .code == 75);
  const Ended ended = world.run({"run", "config.json", "--out", "out", "--resume"});
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  const Json all = Json::parse(world.content("out/summary.json")).at("all").back();
  char text[100];
  std::snprintf(text, sizeof text, "PPL so far: base %.2f, Temp-LoRA %.2f (", all.at("base").at("corpus").get<double>(),
                all.at("lora").at("corpus").get<double>());
  CHECK(ended.says(text));
}

TEST_CASE("templora report --follow: rewrites the page until the run ends", "[cli]") {
  const World world;
  REQUIRE(world.run_config().code == 0);
  CHECK(world.run({"report", "out", "--follow", "--format", "html", "--out", "page.html"}).code == 0);
  CHECK(world.content("page.html").find("<svg") != std::string::npos);
  CHECK(world.content("page.html").find("http-equiv=\"refresh\"") == std::string::npos);  // it changes no more
  world.refuses({"report", "out", "--follow"}, 2, "--format html --out FILE");

  // While the run's folder is locked, as by its process, the page asks for itself again.
  fs::remove(world.folder / "out/summary.json");
  const int lock = ::open((world.folder / "out/lock").c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(::flock(lock, LOCK_EX | LOCK_NB) == 0);
  fs::remove(world.folder / "page.html");
  const Ended followed =
      world.run({"report", "out", "--follow", "--format", "html", "--out", "page.html"}, {}, [&](pid_t) {
        for (int i = 0; i < 20000 && !fs::exists(world.folder / "page.html"); ++i)
          std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(world.content("page.html").find("http-equiv=\"refresh\"") != std::string::npos);
        ::close(lock);
      });
  CHECK(followed.code == 0);
  CHECK(world.content("page.html").find("http-equiv=\"refresh\"") == std::string::npos);
}
