#include <sys/stat.h>

#include <cstdlib>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora sweep --slurm: tasks that are signalled and requeued finish every cell once, bit for bit",
          "[slow]") {
  const World world;
  std::string text;
  for (int i = 0; i < 6; ++i) text += world.content("book.txt");
  world.write("book.txt", text);
  Json sweep = {{"base", "config.json"}, {"axes", {{"lora.rank", {2, 4, 6}}}}, {"set", {{"score.base", false}}}};
  world.write("sweep.json", sweep.dump());
  const std::string command = "python3 '" TEMPLORA_SOURCE_DIR "/scripts/slurm-check' '" +
                              (world.folder / "sweep.json").string() + "' --out '" + (world.folder / "check").string() +
                              "' --tasks 2 --signals 2 > '" + (world.folder / "log").string() + "' 2>&1";
  const int code = WEXITSTATUS(std::system(command.c_str()));
  const std::string said = world.content("log");
  INFO(said);
  CHECK(code == 0);
  if (said.find("skipped") != std::string::npos)
    WARN(said);
  else
    CHECK(said.find("3 cells, 0 findings") != std::string::npos);
}

TEST_CASE("templora sweep --slurm: cells have a task's threads, and sbatch's answer is understood and shown", "[cli]") {
  const World world;
  world.write_config({{"run.threads", 0}});
  const auto submit = [&](const std::string& script, const Json& slurm) {
    world.write("sbatch", "#!/bin/sh\n" + script);
    ::chmod((world.folder / "sbatch").c_str(), 0755);
    world.write("s.json", Json{{"base", "config.json"}, {"axes", {{"lora.rank", {2, 4}}}}, {"slurm", slurm}}.dump());
    fs::remove_all(world.folder / "sw");
    return world.run({"sweep", "s.json", "--out", "sw/s", "--slurm"}, [] {
      ::setenv("PATH", (fs::current_path().string() + ":" + ::getenv("PATH")).c_str(), 1);
    });
  };
  const auto threads = [&] { return Json::parse(world.content("sw/s/sweep.json")).at("threads").get<int>(); };
  CHECK(submit("echo 7\n", {{"time_limit", 60}}).says("job 7; templora status "));
  CHECK(threads() == 1);
  submit("echo 7\n", {{"cpus", 6}, {"workers", 2}});
  CHECK(threads() == 3);
  CHECK(submit("echo -----; echo 'Submitted batch job 519605 on cluster nord'\n", Json::object())
            .says("job 519605 on cluster nord; "));
  CHECK(submit("echo 'core hours left:'; echo 120000; echo 519605\n", Json::object()).says("job 519605; "));
  const Ended refused = submit(
      "echo 'sbatch: no partition given' >&2; echo 'sbatch: error: Batch job submission failed: Invalid "
      "account' >&2; exit 1\n",
      Json::object());
  CHECK(refused.code == 4);
  CHECK(refused.says("no partition given / sbatch: error: Batch job submission failed: Invalid account"));
  const Ended array = submit(
      "echo 'sbatch: error: Batch job submission failed: Invalid job array specification' >&2; exit 1\n",
      Json::object());
  CHECK(array.code == 4);
  CHECK(array.says("MaxArraySize), give slurm.tasks a smaller number"));
  CHECK(array.lines() == 1);
  CHECK(submit("kill -9 $$\n", Json::object()).says("said nothing"));
}
