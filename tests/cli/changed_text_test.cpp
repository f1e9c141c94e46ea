#include <algorithm>
#include <string>

#include "catch.h"
#include "program.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

std::string named_text(const std::string& man, const std::string& place) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "Of stone " + std::to_string(i) + " and wall spoke Mr. " + man + " in " + place + ". The fox saw " + man +
            " there.\n";
  return text;
}

}  // namespace

TEST_CASE("data.swap_names: invented names are read and learnt, and verify finds the file's own", "[cli]") {
  const VerifyWorld world;
  world.write("named.txt", named_text("Brown", "London"));
  world.write("more.txt", named_text("Smith", "Paris"));
  const Changes swapped{{"data.books", {"named.txt"}},        {"data.control_books", {"more.txt"}},
                        {"data.swap_names", true},            {"data.max_tokens", 300},
                        {"control", {"other_book", "shuffled_words"}}, {"bm25.passage_tokens", 8},
                        {"score.keep_tokens", true}};
  const Ended made = world.make("swapped", swapped);
  INFO(made.text);
  REQUIRE(made.code == 0);
  const Json identity = Json::parse(world.content("swapped/run.json")).at("identity");
  CHECK(identity.at("unswapped_text_0_hash") != identity.at("text_0_hash"));
  const Json summary = Json::parse(world.content("swapped/summary.json"));
  for (const char* arm : {"other_book", "shuffled_words", "base_bm25"})
    CHECK(summary.at("all").back().contains(arm));
  CHECK(world.content("swapped/table.md").find("base_bm25 PPL") != std::string::npos);

  const Ended verified = world.run({"verify", "swapped", "--replay", "2"});
  INFO(verified.text);
  CHECK(verified.code == 0);

  // The same text as it is has other numbers, and is what was recorded as unswapped.
  Changes plain = swapped;
  std::erase_if(plain, [](const auto& change) { return change.first == "data.swap_names"; });
  REQUIRE(world.make("plain", plain).code == 0);
  CHECK(Json::parse(world.content("plain/run.json")).at("identity").at("text_0_hash") ==
        identity.at("unswapped_text_0_hash"));
  CHECK(world.content("plain/nll/0-lora.f32") != world.content("swapped/nll/0-lora.f32"));

  const Folder folder(world.folder / "swapped");
  const std::string record = folder.text("run.json");
  folder.set("run.json", "/identity/unswapped_text_0_hash", "0123456789abcdef");
  const Ended found = world.run({"verify", "swapped"});
  INFO(found.text);
  CHECK(found.code != 0);
  CHECK(found.says("unswapped_text_0_hash"));
  folder.write("run.json", record);
  folder.set_line("chunks.jsonl", 5, "/shuffled_words_trained/first_token", 0);
  CHECK(world.run({"verify", "swapped"}).says("control-source"));
}

TEST_CASE("data.swap_names: the same file is the same text wherever it stands, and one without names is refused",
          "[cli]") {
  const VerifyWorld world;
  world.write("named.txt", named_text("Brown", "London"));
  world.write("more.txt", named_text("Smith", "Paris"));
  const Changes swapped{{"data.books", {"named.txt"}},
                        {"data.control_books", {"named.txt", "more.txt"}},
                        {"data.swap_names", true},
                        {"data.max_tokens", 300},
                        {"control", "mixed_books"}};
  REQUIRE(world.make("out", swapped).code == 0);
  for (const Json& chunk : world.records("out/chunks.jsonl"))
    CHECK(chunk.at("mixed_books_trained").at("book") == "more.txt");
  // Seeds share the text, so that they are one setting.
  REQUIRE(world.make("again", swapped + Changes{{"seed", 7}}).code == 0);
  CHECK(Json::parse(world.content("again/run.json")).at("identity").at("text_0_hash") ==
        Json::parse(world.content("out/run.json")).at("identity").at("text_0_hash"));
  world.write_config(swapped + Changes{{"data.books", {"named.txt", "other.txt"}}});
  world.refuses({"run", "config.json", "--out", "none"}, 3, "data.swap_names: got a text without a name");
  fs::copy_file(world.folder / "named.txt", world.folder / "twin.txt");
  world.write_config(swapped + Changes{{"data.books", {"named.txt", "twin.txt"}}});
  world.refuses({"run", "config.json", "--out", "none"}, 3, "the same text as");
  CHECK_FALSE(fs::exists(world.folder / "none"));
}

TEST_CASE("control shuffled_words: other texts have no part in it", "[cli]") {
  const VerifyWorld world;
  const Changes alone{{"control", "shuffled_words"}, {"data.max_tokens", 200}, {"data.control_books", {"nowhere.txt"}}};
  const Ended made = world.make("out", alone);
  INFO(made.text);
  CHECK(made.code == 0);
  CHECK_FALSE(Json::parse(world.content("out/run.json")).at("identity").contains("control_text_0_hash"));
  CHECK(world.run({"verify", "out", "--replay", "1"}).code == 0);
}

TEST_CASE("control shuffled_words: a text without spaces is refused before a folder is made", "[cli]") {
  const VerifyWorld world;
  std::string text;
  for (int i = 0; i < 400; ++i) text += "foxdogwall";
  world.write("dense.txt", text);
  world.write_config({{"data.books", {"dense.txt"}}, {"control", "shuffled_words"}, {"data.max_tokens", 100}});
  world.refuses({"run", "config.json", "--out", "none"}, 2, "white space");
  CHECK_FALSE(fs::exists(world.folder / "none"));
}
