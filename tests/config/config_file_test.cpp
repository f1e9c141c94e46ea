#include "config/config_file.h"

#include <fstream>

#include "../core/fixtures.h"
#include "catch.h"
#include "config/config.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Config files in folders of their own.
struct Files {
  std::string write(const std::string& name, const std::string& content) const {
    const fs::path file = folder / name;
    fs::create_directories(file.parent_path());
    std::ofstream(file) << content;
    return file.string();
  }
  LoadedConfig load(const std::string& name, const std::vector<Override>& overrides = {}) const {
    return load_config((folder / name).string(), overrides);
  }
  Thrown refused(const std::string& name) const {
    const Thrown thrown = thrown_by([&] { load(name); });
    CHECK(thrown.code == Exit::usage);
    CHECK(thrown.message.find('\n') == std::string::npos);
    return thrown;
  }
  TempFolder folder;
};

}  // namespace

TEST_CASE("Config file: comments and $schema are read past, and change nothing", "[unit]") {
  const Files files;
  files.write("plain.json", R"({"model": {"path": "m"}, "data": {"books": ["b//c.txt"]}, "seed": 7})");
  files.write("commented.json", R"(// a config
{"$schema": "../schema.json", "model": {"path": "m"} /* small */, "data": {"books": ["b//c.txt"]}, // one
 "seed": 7})");
  const LoadedConfig plain = files.load("plain.json"), commented = files.load("commented.json");
  CHECK(commented.hash == plain.hash);
  CHECK(commented.effective == plain.effective);
  files.write("open.json", "{\"model\": {\"path\": \"m\"},\n /* never\n }");
  CHECK(files.refused("open.json").says("open.json: line 2: a comment begins with /* and never ends"));
  files.write("number.json", R"({"$schema": 3})");
  CHECK(files.refused("number.json").says("$schema: got 3, wanted a text"));
}

TEST_CASE("Config file: objects merge, arrays replace, null resets", "[unit]") {
  const Files files;
  files.write("base.json", R"({"model": {"path": "m"}, "data": {"books": ["a", "b"]}, "seed": 7,
    "train": {"epochs": 3, "learning_rate": 0.1, "warmup_steps": 9}, "lora": {"rank": 4, "layers": [1, 2]},
    "notes": {"of": "base", "and": {"more": 1}}})");
  files.write("child.json", R"({"extends": "base.json", "data": {"books": ["c"]}, "seed": null, "lora": null,
    "train": {"epochs": null, "learning_rate": 0.2}, "window": {"chunk_tokens": null},
    "notes": {"and": {"most": 2}}})");
  const LoadedConfig child = files.load("child.json");
  CHECK(child.config.data.books == std::vector{(files.folder / "c").string()});
  CHECK(child.config.seed == 42);
  CHECK(child.config.train.epochs == 2);
  CHECK(child.config.train.learning_rate == 0.2);
  CHECK(child.config.train.warmup_steps == 9);
  CHECK(child.config.lora.rank == 64);
  CHECK(!child.config.lora.layers);
  CHECK(child.config.window.chunk_tokens == 1024);
  CHECK(*child.config.notes == Json{{"of", "base"}, {"and", {{"more", 1}, {"most", 2}}}});
  CHECK(!child.effective.contains("extends"));
  files.write("flat.json", R"({"model": {"path": "m"}, "data": {"books": ["c"]},
    "train": {"learning_rate": 0.2, "warmup_steps": 9}})");
  CHECK(child.hash == files.load("flat.json").hash);
  CHECK(files.load("child.json", {{"train.epochs", "5"}}).config.train.epochs == 5);
}

TEST_CASE("Config file: a mistyped key is refused though it is null, in the file that has it", "[unit]") {
  const Files files;
  files.write("base.json", R"({"model": {"path": "m"}, "data": {"books": ["a"]}, "train": {"epochs": 0}})");
  files.write("child.json", R"({"extends": "base.json", "train": {"epohcs": null}})");
  const Thrown thrown = thrown_by([&] { files.load("child.json"); });
  CHECK(thrown.says("child.json: train.epohcs: unknown key; the nearest known key is train.epochs"));
  files.write("other.json", R"({"extends": "base.json", "train": {"learning_rate": 0.2}})");
  CHECK(files.refused("other.json").says("base.json: train.epochs: got 0"));
}

TEST_CASE("Config file: inherited paths are written anew before anything is hashed", "[unit]") {
  const Files files;
  files.write("up/base[1]/base.json", R"({"model": {"path": "../m", "tokenizer": "org/name"}, "data": {"books":
    ["b/*.txt", "/x/y.txt", "./c.txt"], "exclude": ["c.txt"]}, "score": {"base_scores": "kept"}})");
  files.write("up/kid/child.json", R"({"extends": "../base[1]/base.json"})");
  files.write("up/kid/grand/child.json", R"({"extends": "../child.json", "seed": 1})");
  const LoadedConfig child = files.load("up/kid/child.json");
  const std::string up = (files.folder / "up").string();
  CHECK(child.config.model.path == up + "/m");
  CHECK(child.model_as_written == "../m");
  CHECK(child.config.model.tokenizer == up + "/kid/org/name");  // a repository's name is no path of the base
  CHECK(child.config.data.books[1] == "/x/y.txt");
  CHECK(child.config.data.exclude == std::vector<std::string>{"c.txt"});
  CHECK(child.config.score.base_scores == up + "/base[1]/kept");
  files.write("up/base[1]/b/1.txt", "one");
  files.write("up/base[1]/c.txt", "two");
  const std::string pattern = files.load("up/kid/child.json").config.data.books[0];
  CHECK(expand_globs({pattern}, ".") == std::vector<fs::path>{up + "/base[1]/b/1.txt"});

  files.write("up/base/base.json", R"({"model": {"path": "../m"}, "data": {"books": ["b/*.txt", "./c.txt"]}})");
  files.write("up/kid/other.json", R"({"extends": "../base/base.json"})");
  files.write("up/kid/flat.json",
              R"({"model": {"path": "../m"}, "data": {"books": ["../base/b/*.txt", "../base/c.txt"]}})");
  CHECK(files.load("up/kid/other.json").hash == files.load("up/kid/flat.json").hash);
  files.write("up/base/beside.json", R"({"extends": "base.json"})");
  CHECK(files.load("up/base/beside.json").hash == files.load("up/base/base.json").hash);
  CHECK(files.load("up/kid/grand/child.json").config.model.path == up + "/m");
}

TEST_CASE("Config file: a circle of extends is refused with the files in it", "[unit]") {
  const Files files;
  files.write("a.json", R"({"extends": "b.json"})");
  files.write("b.json", R"({"extends": "c/c.json"})");
  files.write("c/c.json", R"({"extends": "../b.json"})");
  files.write("self.json", R"({"extends": "./self.json"})");
  const std::string b = (files.folder / "b.json").string(), c = (files.folder / "c/c.json").string();
  CHECK(files.refused("a.json").says("extends: got a circle, wanted files that end in one without extends: " + b +
                                     " → " + c + " → " + b));
  CHECK(files.refused("self.json").says("got a circle"));
  fs::create_symlink(files.folder / "link.json", files.folder / "away.json");
  files.write("link.json", R"({"extends": "away.json"})");
  CHECK(files.refused("link.json").says("got a circle"));
  for (int i = 0; i < 70; ++i)
    files.write("chain" + std::to_string(i) + ".json", "{\"extends\": \"chain" + std::to_string(i + 1) + ".json\"}");
  CHECK(files.refused("chain0.json").says("a chain of more than 64 files"));
}

TEST_CASE("Config file: an extends that leads nowhere is one line with both files", "[unit]") {
  const Files files;
  files.write("child.json", R"({"extends": "missing.json"})");
  const Thrown missing = files.refused("child.json");
  CHECK(missing.says("child.json: extends: "));
  CHECK(missing.says("missing.json: "));
  for (const char* wrong : {"3", "[\"a.json\"]", "null", "\"\""}) {
    files.write("child.json", std::string("{\"extends\": ") + wrong + "}");
    CHECK(files.refused("child.json").says("child.json: extends: got "));
  }
  files.write("list.json", "[1]");
  files.write("child.json", R"({"extends": "list.json"})");
  CHECK(files.refused("child.json").says("list.json: got no object"));
}
