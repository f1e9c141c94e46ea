#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("exposure: a model that was never taught gives nothing back, the same at each start", "[cli]") {
  const World world;
  const std::vector<std::string> asked{"exposure", "--model", "model", "--prompts", "3", "--tokens", "20"};
  auto arguments = asked;
  arguments.push_back("book.txt");
  const Ended table = world.run(arguments);
  CHECK(table.code == 0);
  CHECK(table.says("| book.txt | 3 | 0 | "));
  arguments.push_back("--json");
  const auto answer = [&] {
    const Ended ended = world.run(arguments);
    return Json::parse(ended.text.substr(ended.text.find('{')));
  };
  const Json first = answer();
  CHECK(first == answer());
  CHECK(first.at("places").size() == 3);
  CHECK(first.at("returned").size() == 3);
  CHECK(first.at("whole") == 0);
}

TEST_CASE("exposure: what cannot be asked is one line", "[cli]") {
  const World world;
  world.write("short.txt", "Too short.");
  world.refuses({"exposure", "--model", "model", "short.txt"}, 3, "short.txt: got");
  world.refuses({"exposure", "--model", "model", "none.txt"}, 3, "none.txt");
  world.refuses({"exposure", "--model", "nowhere", "book.txt"}, 3, "nowhere");
  const Ended wide = world.run({"exposure", "--model", "model", "--prompts", "1", "--tokens", "65", "book.txt"});
  CHECK(wide.code == 2);
  CHECK(wide.says("templora: --tokens: got 65, wanted at most 64, half of the model's positions"));
  CHECK(world.run({"exposure", "--model", "model", "--prompts", "0", "book.txt"}).code == 2);
}
