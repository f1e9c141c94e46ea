#include "catch.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora verify --replay: runs chunks again bit for bit and finds what no table shows", "[cli]") {
  const VerifyWorld world;
  REQUIRE(world.make("out", {{"data.max_tokens", 250}, {"data.books", {"book.txt", "other.txt"}}}).code == 0);
  const Ended honest = world.run({"verify", "out", "--replay", "4", "--all"});
  INFO(honest.text);
  CHECK(honest.code == 0);
  CHECK(honest.says("ok replay-nll"));
  CHECK(honest.says("bit for bit"));
  // Two values of each chunk exchanged: all means and tables stay as they were.
  const Folder out(world.folder / "out");
  for (std::size_t at = 0; at + 24 < 250; at += 20) {
    const float first = out.value("nll/0-lora.f32", at), second = out.value("nll/0-lora.f32", at + 1);
    out.set_value("nll/0-lora.f32", at, second);
    out.set_value("nll/0-lora.f32", at + 1, first);
  }
  const Ended forged = world.run({"verify", "out", "--replay", "20"});
  INFO(forged.text);
  CHECK(forged.code == 3);
  CHECK(forged.says("replay-nll: book.txt: chunk "));
  // A config with fewer chunks than the record has.
  REQUIRE(world.make("longer", {{"data.max_tokens", 250}}).code == 0);
  Folder(world.folder / "longer").set("run.json", "/config/data/max_tokens", 96);
  const Ended fewer = world.run({"verify", "longer", "--replay", "20"});
  INFO(fewer.text);
  CHECK(fewer.code == 3);
  CHECK(fewer.says("got no such chunk"));
}

TEST_CASE("templora verify: controls' texts are looked at, and books of one name in many folders are no copies",
          "[cli]") {
  const VerifyWorld world;
  fs::create_directories(world.folder / "texts/a");
  fs::create_directories(world.folder / "texts/b");
  world.write("texts/a/text.txt", world.content("book.txt"));
  world.write("texts/b/text.txt", world.content("other.txt"));
  REQUIRE(
      world.make("same", {{"data.max_tokens", 250}, {"data.books", {"texts/*/text.txt"}}, {"control", "other_book"}})
          .code == 0);
  const Ended namesakes = world.run({"verify", "same"});
  INFO(namesakes.text);
  CHECK(namesakes.code == 0);

  const Changes controlled{{"data.max_tokens", 250},
                           {"data.books", {"book.txt"}},
                           {"data.control_books", {"other.txt"}},
                           {"control", "other_book"}};
  REQUIRE(world.make("controlled", controlled).code == 0);
  CHECK(world.run({"verify", "controlled", "--replay", "2", "--all"}).says("ok control-text-file"));
  world.write("other.txt", "More. " + world.content("other.txt"));
  const Ended changed = world.run({"verify", "controlled", "--replay", "2"});
  INFO(changed.text);
  CHECK(changed.code == 3);
  CHECK(changed.says("control-text-file: "));
  CHECK(changed.says("not checked replay-nll: the controls' texts"));
}
