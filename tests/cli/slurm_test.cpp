#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora sweep --slurm: tasks that are signalled and requeued finish every cell once, bit for bit", "[slow]") {
  const World world;
  std::string text;
  for (int i = 0; i < 6; ++i) text += world.content("book.txt");
  world.write("book.txt", text);
  Json sweep = {{"base", "config.json"}, {"axes", {{"lora.rank", {2, 4, 6}}}}, {"set", {{"score.base", false}}}};
  world.write("sweep.json", sweep.dump());
  const std::string command = "python3 '" TEMPLORA_SOURCE_DIR "/scripts/slurm-check' '" + (world.folder / "sweep.json").string() + "' --out '" +
                              (world.folder / "check").string() + "' --tasks 2 --signals 2 > '" + (world.folder / "log").string() + "' 2>&1";
  const int code = WEXITSTATUS(std::system(command.c_str()));
  const std::string said = world.content("log");
  INFO(said);
  CHECK(code == 0);
  if (said.find("skipped") != std::string::npos)
    WARN(said);
  else
    CHECK(said.find("3 cells, 0 findings") != std::string::npos);
}
