#include <sstream>

#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

namespace {

constexpr const char* kHashOfAbc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A manifest of two sets below the world's folder; of "books" nothing is there yet.
void write_manifest(const World& world) {
  const Json a{{"name", "a.txt"}, {"bytes", 3}, {"sha256", kHashOfAbc}, {"tokens", {{"yi-6b", 1200}}}};
  const Json b{{"name", "b.txt"}, {"bytes", 3}};
  const Json books{{"name", "books"},   {"what", "two books"},     {"folder", "data/books"},
                   {"licence", "none"}, {"get", "./get books"}, {"files", {a, b}}};
  const Json model{{"name", "m"}, {"what", "a model"}, {"folder", "models/m"}, {"licence", "its own"},
                   {"get", "./get m"}, {"unknown", "its hash"}, {"files", {{{"name", "*.safetensors"}}}}};
  fs::create_directories(world.folder / "data");
  world.write("data/manifest.json", Json{{"format", 1}, {"sets", {books, model}}}.dump());
}

}  // namespace

TEST_CASE("templora data check: what is there, right, wrong or missing", "[cli]") {
  const World world;
  write_manifest(world);
  const auto check = [&](std::vector<std::string> arguments, int code, const std::string& text) {
    arguments.insert(arguments.begin(), {"data", "check"});
    const Ended ended = world.run(arguments);
    INFO(ended.text);
    CHECK(ended.code == code);
    CHECK(ended.text == text);
  };
  const std::string two_bad = "templora: data check: 2 files are missing or wrong\n";
  check({}, 0, "books: 0 of 2 in data/books; ./get books gets what is missing\n"
               "m: 0 of 1 in models/m; ./get m gets what is missing\n"
               "0 of 2 sets are whole; of 2 nothing is there, which is a fault only where a set is asked for by "
               "name\n");
  check({"books"}, 3, "books: 0 of 2 in data/books; ./get books gets what is missing\n" + two_bad);
  fs::create_directories(world.folder / "data/books");
  world.write("data/books/a.txt", "abd");
  check({"books"}, 3,
        "wrong   data/books/a.txt: SHA-256: got a52d159f262b2c6ddb724a61840befc36eb30c88877a4030b65cbe86298449c9, "
        "wanted " + std::string(kHashOfAbc) + "\nmissing data/books/b.txt\n"
        "books: 0 of 2 in data/books, 1 wrong; ./get books gets what is missing\n" + two_bad);
  world.write("data/books/a.txt", "abc");
  world.write("data/books/b.txt", "xyz");
  check({"books"}, 0, "books: 2 of 2 in data/books\n");
  const std::string all = "right   data/books/a.txt: 3 bytes\n"
                          "there   data/books/b.txt: 3 bytes, no hash is known\nbooks: 2 of 2 in data/books\n";
  check({"books", "--all"}, 0, all);
  check({"data/books", "--all"}, 0, all);
  check({"books", "--json"}, 0,
        R"({"set":"books","file":"data/books/a.txt","state":"right","detail":"3 bytes"})"
        "\n"
        R"({"set":"books","file":"data/books/b.txt","state":"there","detail":"3 bytes, no hash is known"})"
        "\n");
  fs::rename(world.folder / "data/books", world.folder / "elsewhere");
  check({"elsewhere/"}, 0, "books: 2 of 2 in elsewhere\n");
  fs::remove(world.folder / "elsewhere/b.txt");  // one of two, but its size is the manifest's
  check({"elsewhere/"}, 3, "missing elsewhere/b.txt\nbooks: 1 of 2 in elsewhere; ./get books gets what is missing\n"
                           "templora: data check: 1 file is missing or wrong\n");
}

TEST_CASE("templora data list: sets, and the files of one", "[cli]") {
  const World world;
  write_manifest(world);
  const Ended sets = world.run({"data", "list"});
  CHECK(sets.code == 0);
  CHECK(sets.says("| books | two books | 2 | 0 | 6 | data/books | `./get books` |"));
  CHECK(sets.says("| m | a model | 1 | 0 | – | models/m | `./get m` |"));
  const Ended files = world.run({"data", "list", "books", "m"});
  CHECK(files.code == 0);
  CHECK(files.says("| a.txt | 3 | 1,200 yi-6b | " + std::string(kHashOfAbc) + " |"));
  CHECK(files.says("Licence: its own"));
  CHECK(files.says("Not known: its hash"));
  for (const std::vector<std::string>& words : {std::vector<std::string>{"data", "list", "--json"},
                                                std::vector<std::string>{"data", "list", "books", "--json"}}) {
    std::istringstream lines(world.run(words).text);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) CHECK(Json::parse(line).is_object());
    CHECK(count == 2);
  }
}

TEST_CASE("templora data: a name, folder or manifest that is none", "[cli]") {
  const World world;
  world.refuses({"data", "check", "pg18"}, 2, "such as pg19");  // of the checkout that the program was built in
  fs::create_directories(world.folder / "empty");
  world.refuses({"data", "check", "empty"}, 3, "none of the manifest's sets by its files");
  world.refuses({"data", "check", "model"}, 3, "none of the manifest's sets by its files");  // config.json alone
  world.refuses({"data", "check", "--manifest", "none.json"}, 3, "none.json");
  world.write("bad.json", R"({"format": 1, "sets": [{"name": "b", "folder": "../b", "files": [{"name": "a"}]}]})");
  world.refuses({"data", "check", "--manifest", "bad.json"}, 3, "does not lead out");
  CHECK(world.run({"data"}).code == 2);
  CHECK(world.run({"data", "fetch"}).code == 2);
}
