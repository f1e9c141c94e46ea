#include <sched.h>

#include <ctime>
#include <set>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora run: threads follow what the process may use, and a resume what the run began with", "[cli]") {
  const World world;
  world.write_config({{"run.threads", 0}, {"data.max_tokens", 200}});
  const auto pinned = [] {
    ::setenv("OMP_NUM_THREADS", "8", 1);
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof set, &set);
    int kept = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(cpu, &set) && kept++ > 0) CPU_CLR(cpu, &set);
    ::sched_setaffinity(0, sizeof set, &set);
  };
  const Ended ended = world.run({"run", "config.json", "--out", "out"}, pinned);
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("1 thread: what this process may use (affinity 1"));
  CHECK(Json::parse(world.content("out/run.json")).at("identity").at("threads") == 1);
  fs::remove(world.folder / "out/summary.json");
  const Ended resumed = world.run({"run", "config.json", "--out", "out", "--resume"});
  INFO(resumed.text);
  CHECK(resumed.code == 0);
}

TEST_CASE(
    "templora run: runs that start in the same second have folders of their own, and the newest is resumed",
    "[cli]") {
  const World world;
  world.write_config({{"data.max_tokens", 50}});
  std::set<std::string> folders;
  const auto made = [&] {
    std::set<std::string> names;
    if (fs::exists(world.folder / "runs/config"))
      for (const fs::directory_entry& entry : fs::directory_iterator(world.folder / "runs/config"))
        names.insert(entry.path().filename().string());
    return names;
  };
  // The names that the next seconds have are taken.
  REQUIRE(world.run({"run", "config.json"}).code == 0);
  const std::string first = *made().begin(), hash = first.substr(first.rfind('-') + 1);
  const std::time_t now = std::time(nullptr);
  for (int s = 0; s < 30; ++s) {
    const std::time_t at = now + s;
    char text[32];
    std::strftime(text, sizeof text, "%Y%m%d-%H%M%S", std::localtime(&at));
    fs::create_directories(world.folder / "runs/config" / (std::string(text) + "-" + hash));
    world.write("runs/config/" + std::string(text) + "-" + hash + "/run.json", "{");
  }
  const auto before = made();
  const Ended second = world.run({"run", "config.json"});
  INFO(second.text);
  CHECK(second.code == 0);
  std::string added;
  for (const std::string& name : made())
    if (!before.contains(name)) added = name;
  CHECK(added.find(".02-") != std::string::npos);
  for (const std::string& name : before)
    if (name > added) fs::remove_all(world.folder / "runs/config" / name);
  const Ended resumed = world.run({"run", "config.json", "--resume"});
  CHECK(resumed.says(added + " is finished"));
}

TEST_CASE("templora run: a run that cannot start leaves no folder", "[cli]") {
  const World world;
  world.write_config({{"data.books", {"none.txt"}}});
  CHECK(world.run({"run", "config.json"}).code == 3);
  CHECK(!fs::exists(world.folder / "runs"));
}
