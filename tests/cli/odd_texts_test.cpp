#include "catch.h"
#include "verify_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Letters without a space, as many as there are.
std::string unspaced(int letters) {
  std::string text;
  for (int i = 0; i < letters; ++i) text += "ACGT"[(i * i + i / 7) % 4];
  return text;
}

}  // namespace

TEST_CASE("templora run: a text without spaces between words finishes, without a word level, beside others", "[cli]") {
  const World world;
  world.write("dna.txt", unspaced(600));
  world.write_config({{"data.books", {"book.txt", "dna.txt"}}, {"data.max_tokens", 300}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  REQUIRE(ended.code == 0);
  CHECK(ended.says("There is no word-level PPL with dna.txt: "));
  const Json summary = Json::parse(world.content("out/summary.json"));
  CHECK(summary.at("all").back().at("base").at("word_level").is_null());
  CHECK(summary.at("all").back().at("base").at("bits_per_byte").is_number());
  CHECK(summary.at("books")[0].at("segments").back().at("base").at("word_level").is_number());
  CHECK(world.run({"verify", "out"}).code == 0);
  const Ended report = world.run({"report", "out"});
  CHECK(report.code == 0);
  CHECK(!report.says("inf"));
}

TEST_CASE("templora run: one text under several names is refused, naming two", "[cli]") {
  const World world;
  fs::create_directory(world.folder / "b");
  for (const char* name : {"b/1.txt", "b/2.txt"}) fs::copy(world.folder / "book.txt", world.folder / name);
  world.write("b/2.txt", "\r\n" + world.content("book.txt") + "\r\n");  // the same after normalising
  world.write_config({{"data.books", {"b/*.txt"}}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == 3);
  CHECK(ended.says("b/2.txt: the same text as "));
  CHECK(ended.says("b/1.txt, as far as it is read; wanted each once in data.books"));
  CHECK(!fs::exists(world.folder / "out"));
  world.write("b/2.txt", world.content("book.txt") + " And so on.");  // others behind data.max_tokens only
  world.write_config({{"data.books", {"b/*.txt"}}, {"data.max_tokens", 100}});
  const Ended cut = world.run_config();
  CHECK(cut.code == 3);
  CHECK(cut.says("b/2.txt: the same text as "));
  // A control may learn from a text that is scored: it leaves that one out, and here nothing is left.
  world.write_config({{"data.books", {"b/1.txt"}},
                      {"data.max_tokens", 100},
                      {"control", {"other_book"}},
                      {"data.control_books", {"b/*.txt"}}});
  CHECK(world.run_config().code == 2);
  CHECK(!fs::exists(world.folder / "out"));
  world.write("other.txt", "A lazy dog sleeps. " + world.content("book.txt"));
  world.write_config({{"data.books", {"b/1.txt"}},
                      {"data.max_tokens", 100},
                      {"control", {"other_book"}},
                      {"data.control_books", {"b/*.txt", "other.txt"}}});
  CHECK(world.run_config().code == 0);
}

TEST_CASE("templora run: texts that are one as far as they are read are refused, whatever is changed in them",
          "[cli]") {
  const World world;
  std::string text;
  for (int i = 0; i < 60; ++i)
    text += "At night old Reynard ran from tree " + std::to_string(i) + " to Reynard's den.\n";
  world.write("1.txt", text);
  world.write("2.txt", text + "And so on.\n");
  for (const bool swaps : {false, true}) {
    world.write_config({{"data.books", {"1.txt", "2.txt"}}, {"data.max_tokens", 100}, {"data.swap_names", swaps}});
    const Ended ended = world.run_config();
    INFO(ended.text);
    CHECK(ended.code == 3);
    CHECK(ended.says("2.txt: the same text as "));
  }
  world.write_config({{"data.books", {"1.txt", "2.txt"}}, {"data.max_tokens", 0}, {"data.swap_names", true}});
  CHECK(world.run_config().code == 0);
}

TEST_CASE("templora run: a run that began with a text twice goes on, and says so", "[cli]") {
  const VerifyWorld world;
  REQUIRE(world.make("out", {{"data.books", {"book.txt", "other.txt"}}, {"data.max_tokens", 100}}).code == 0);
  fs::remove(world.folder / "out/summary.json");
  world.write("other.txt", world.content("book.txt"));
  const std::string hash =
      Json::parse(world.content("out/books.jsonl").substr(0, world.content("out/books.jsonl").find('\n')))
          .at("text_hash");
  Json record = Json::parse(world.content("out/run.json"));
  record["identity"]["text_1_hash"] = hash;
  world.write("out/run.json", record.dump());
  const Ended ended = world.run({"run", "config.json", "--out", "out", "--resume"});
  INFO(ended.text);
  CHECK(ended.says("other.txt: the same text as "));
  CHECK(ended.code == 0);
  Folder(world.folder / "out").set_line("books.jsonl", 1, "/text_hash", hash);
  CHECK(world.run({"verify", "out"}).says("book.txt: means over books count it twice"));
}

TEST_CASE("templora run: a link to itself is a text that is wrong", "[cli]") {
  const World world;
  fs::create_symlink("loop.txt", world.folder / "loop.txt");
  world.write_config({{"data.books", {"loop.txt"}}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == 3);
  CHECK(ended.says("loop.txt: "));
}

TEST_CASE("templora verify: a book's name cannot write a line of its own", "[cli]") {
  const World world;
  fs::create_directory(world.folder / "b");
  const std::string name = "x is gone\nok every check\x1b[2J";
  fs::copy(world.folder / "book.txt", world.folder / ("b/" + name));
  world.write_config({{"data.books", {"b/*"}}, {"data.max_tokens", 100}});
  const Ended made = world.run_config();
  REQUIRE(made.code == 0);
  fs::remove(world.folder / ("b/" + name));
  for (const std::vector<std::string>& command : {std::vector<std::string>{"verify", "out"},
                                                  {"report", "out"},
                                                  {"report", "out", "--format", "csv"},
                                                  {"report", "out", "--format", "chunks"},
                                                  {"report", "out", "--format", "latex"},
                                                  {"report", "out", "--format", "html"},
                                                  {"pool", "out"},
                                                  {"compare", "out", "out"}}) {
    const Ended ended = world.run(command);
    INFO(command[0] << " " << ended.text);
    CHECK(ended.code == 0);
    CHECK(!ended.says("\nok every check"));
    CHECK(!ended.says("\x1b"));
  }
  CHECK(!made.says("\nok every check"));
  CHECK(world.content("out/table.md").find("\nok every check") == std::string::npos);
}
