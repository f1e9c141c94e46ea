#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora init: the config that it writes has comments, fits the model and runs", "[cli]") {
  const World world;
  const Ended made = world.run({"init", "--model", "model", "--books", "book.txt", "--out", "first.json"});
  INFO(made.text);
  REQUIRE(made.code == 0);
  CHECK(made.says("wrote first.json"));
  const std::string written = world.content("first.json");
  CHECK(written.find("\"chunk_tokens\": 64,  // Δ") != std::string::npos);
  CHECK(written.find("\"context_tokens\": 64  // L_X") != std::string::npos);
  CHECK(written.find("\"path\": \"model\",  // 2 layers, hidden 32") != std::string::npos);
  CHECK(written.find("\"dtype\": \"float32\"") != std::string::npos);  // as the model is published
  const Ended ran = world.run({"run", "first.json", "--out", "out", "--set", "run.threads=1"});
  INFO(ran.text);
  CHECK(ran.code == 0);
  world.refuses({"init", "--model", "model", "--books", "book.txt", "--out", "first.json"}, 2, "is not overwritten");
  CHECK(world.content("first.json") == written);
}

TEST_CASE("templora init: what it is given is named from the config's folder", "[cli]") {
  const World world;
  const Ended made = world.run({"init", "--model", "model", "--books", "book.txt", "bo*.txt", "--out", "a/b/c.json"});
  INFO(made.text);
  REQUIRE(made.code == 0);
  const std::string written = world.content("a/b/c.json");
  CHECK(written.find("\"../../model\"") != std::string::npos);
  CHECK(written.find("[\"../../book.txt\",\n              \"../../bo*.txt\"]") != std::string::npos);
  CHECK(world.run({"run", "a/b/c.json", "--dry-run", "--device", "cpu"}).code == 0);
}

TEST_CASE("templora init: a config that is written elsewhere names what it reads from the root, and can be moved",
          "[cli]") {
  const World world;
  const TempFolder elsewhere;
  fs::create_directories(elsewhere / "far/real");
  fs::create_directory_symlink("far/real", elsewhere / "link");
  const std::string out = (elsewhere / "link/c.json").string();
  REQUIRE(world.run({"init", "--model", "model", "--books", "bo*.txt", "--out", out}).code == 0);
  const std::string written = read_file(out), here = fs::canonical(world.folder.path()).string();
  INFO(written);
  CHECK(written.find("\"" + here + "/model\"") != std::string::npos);
  CHECK(written.find("\"" + here + "/bo*.txt\"") != std::string::npos);
  fs::rename(elsewhere / "far/real/c.json", elsewhere / "far/moved.json");
  CHECK(world.run({"run", (elsewhere / "far/moved.json").string(), "--dry-run", "--device", "cpu"}).code == 0);
}

TEST_CASE("templora init: without arguments it looks for a model and texts where they usually are", "[cli]") {
  const World world;
  world.refuses({"init", "--out", "c.json"}, 2, "--model: got nothing, and there is no models/small-6m here");
  fs::remove(world.folder / "config.json");
  fs::create_directories(world.folder / "models");
  fs::rename(world.folder / "model", world.folder / "models/small-6m");
  const Ended bare = world.run({"init", "--out", "bare.json"});
  CHECK(bare.code == 0);
  CHECK(bare.says("no texts in books/ or data/"));
  fs::create_directories(world.folder / "data");
  fs::rename(world.folder / "book.txt", world.folder / "data/book.txt");
  REQUIRE(world.run({"init"}).code == 0);
  CHECK(world.content("config.json").find("\"data/*.txt\"") != std::string::npos);
  CHECK(world.run({"run", "config.json", "--out", "out", "--set", "data.max_tokens=200"}).code == 0);
}

TEST_CASE("templora init: bad input is one line, and nothing is written", "[cli]") {
  const World world;
  world.refuses({"init", "--model", "nowhere", "--out", "c.json"}, 3, "nowhere: no such folder");
  world.refuses({"init", "--model", "model", "--books", "none.txt", "--out", "c.json"}, 3, "none.txt: no such file");
  world.write("model/config.json", "{\"model_type\": \"gpt2\"}");
  world.refuses({"init", "--model", "model", "--books", "book.txt", "--out", "c.json"}, 3, "model_type");
  CHECK_FALSE(fs::exists(world.folder / "c.json"));
}

TEST_CASE("templora init: a model whose projections have other names gets its own as targets", "[cli]") {
  const World world;
  Json config = Json::parse(world.content("model/config.json"));
  config["model_type"] = "phi3";
  world.write("model/config.json", config.dump());
  REQUIRE(world.run({"init", "--model", "model", "--books", "book.txt", "--out", "first.json"}).code == 0);
  CHECK(world.content("first.json").find("[\"qkv_proj\",\"o_proj\",\"gate_up_proj\",\"down_proj\"]") !=
        std::string::npos);
  const Ended right = world.run({"run", "first.json", "--dry-run", "--device", "cpu"});
  INFO(right.text);
  CHECK(right.code == 0);
  for (const char* wrong : {"lora.targets=[\"q_proj\"]", "lora.layers=[2]"}) {  // before any weight is read
    world.refuses({"run", "first.json", "--dry-run", "--device", "cpu", "--set", wrong}, 2, "but the model has");
    world.refuses({"run", "first.json", "--out", "out", "--set", wrong}, 2, "but the model has");
    world.refuses({"cost", "first.json", "--tokens", "999", "--set", wrong}, 2, "but the model has");
  }
}

TEST_CASE("templora run: all mistakes of a config are told at one start, a line each", "[cli]") {
  const World world;
  world.write_config({{"lr", 1}, {"train.epochs", 0}, {"lora.rnak", 3}, {"model.device", "gpu"}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == 2);
  CHECK(ended.lines() == 4);
  CHECK(ended.says("config.json: lr: unknown key; the nearest known key is train.learning_rate"));
  CHECK(ended.says("config.json: train.epochs: got 0"));
  CHECK(ended.says("config.json: lora.rnak: unknown key; the nearest known key is lora.rank"));
  CHECK(ended.says("config.json: model.device: got \"gpu\""));
}

TEST_CASE("templora run: all inputs that are missing are told at one start, absolute ones as they are given", "[cli]") {
  const World world;
  world.write_config({{"model.path", "/no/such/model"}, {"data.books", {"/no/such/book.txt", "other.txt"}}});
  const Ended ended = world.run_config();
  INFO(ended.text);
  CHECK(ended.code == 3);
  CHECK(ended.lines() == 3);
  CHECK(ended.says("templora: /no/such/model: no such folder"));
  CHECK(ended.says("templora: data.books: /no/such/book.txt: no such file\n"));
  CHECK(ended.says((world.folder / "other.txt").string() + ": no such file\n"));
}

TEST_CASE("templora run: windows that have no room come with values that have", "[cli]") {
  const World world;
  world.write("config.json", R"({"model": {"path": "model"}, "data": {"books": ["book.txt"], "max_tokens": 400},
    "lora": {"rank": 2}, "run": {"threads": 1}})");
  world.refuses({"run", "config.json", "--out", "out"}, 2,
                "the model has 128 positions; these fit: window.chunk_tokens=64 window.context_tokens=64 "
                "train.prefix_tokens=64. ");
  const Ended ended = world.run({"run", "config.json", "--out", "out", "--set", "window.chunk_tokens=64", "--set",
                                 "window.context_tokens=64", "--set", "train.prefix_tokens=64"});
  INFO(ended.text);
  CHECK(ended.code == 0);
}

TEST_CASE("templora run: the run folder is named once it is there", "[cli]") {
  const World world;
  world.write("book.txt", " \n ");
  for (const std::vector<std::string>& out : {std::vector<std::string>{"--out", "out"}, {}}) {
    std::vector<std::string> arguments{"run", "config.json"};
    arguments.insert(arguments.end(), out.begin(), out.end());
    const Ended ended = world.run(arguments);
    CHECK(ended.code == 3);
    CHECK_FALSE(ended.says("run folder:"));
  }
  world.write("book.txt", "Some words for a very short book, which is read in no time.");
  CHECK(world.run_config().says("templora: run folder: out\n"));
}

TEST_CASE("templora run: a config with comments that extends another runs as the flat one", "[cli]") {
  const World world;
  fs::create_directories(world.folder / "kid");
  world.write("kid/child.json", R"(// a child
{"$schema": "config.schema.json", "extends": "../config.json", "train": {"epochs": 1 /* fewer */}})");
  REQUIRE(world.run({"run", "kid/child.json", "--out", "child"}).code == 0);
  REQUIRE(world.run({"run", "config.json", "--set", "train.epochs=1", "--out", "flat"}).code == 0);
  const Json child = Json::parse(world.content("child/run.json")), flat = Json::parse(world.content("flat/run.json"));
  CHECK(child.at("config") == flat.at("config"));
  CHECK(!child.at("config").contains("extends"));
  CHECK(world.content("child/nll/0-lora.f32") == world.content("flat/nll/0-lora.f32"));
  world.write("kid/child.json", R"({"extends": "child.json"})");
  world.refuses({"run", "kid/child.json"}, 2, "extends: got a circle");
  world.write("kid/child.json", R"({"extends": "none.json"})");
  world.refuses({"run", "kid/child.json"}, 2, "none.json");
  world.write("kid/child.json", "{\"extends\": \"../config.json\" /* }");
  world.refuses({"run", "kid/child.json"}, 2, "child.json: line 1: a comment begins with /* and never ends");
  world.write("kid/child.json", R"({"extends": "../config.json", "train": {"epohcs": null}})");
  world.refuses({"run", "kid/child.json"}, 2, "train.epohcs: unknown key; the nearest known key is train.epochs");
}
