#include "sweep/definition.h"

#include "catch.h"
#include "files.h"
#include "sweep/sweep_file.h"
#include "sweep/sweep_schema.h"

using namespace templora;
using namespace templora_test;

namespace {

std::vector<CellValues> cells_of(const SweepFiles& files, const Json& keys) {
  return expand(read_sweep_definition(files.sweep(keys)));
}

Thrown refused(const SweepFiles& files, const Json& keys) {
  const Thrown thrown = thrown_by([&] { cells_of(files, keys); });
  CHECK(thrown.code == Exit::usage);
  return thrown;
}

}  // namespace

TEST_CASE("SweepDefinition: axes are crossed, zipped keys move together, the last varies fastest", "[unit]") {
  const SweepFiles files;
  const auto cells = cells_of(files, {{"axes", {{"train.epochs", {1, 2}}}},
                                      {"zip", {{{"lora.rank", {4, 8}}, {"lora.alpha", {8, 16}}}}},
                                      {"seeds", {1, 2, 3}}});
  REQUIRE(cells.size() == 12);
  CHECK(cells[0] == CellValues{{"train.epochs", 1}, {"lora.rank", 4}, {"lora.alpha", 8}, {"seed", 1}});
  CHECK(cells[1] == CellValues{{"train.epochs", 1}, {"lora.rank", 4}, {"lora.alpha", 8}, {"seed", 2}});
  CHECK(cells[11] == CellValues{{"train.epochs", 2}, {"lora.rank", 8}, {"lora.alpha", 16}, {"seed", 3}});
}

TEST_CASE("SweepDefinition: a point sets its own keys, and leaves the others as the base has them", "[unit]") {
  const SweepFiles files;
  const Json points{{"plain", Json::object()},
                    {"small", {{"lora.rank", 4}, {"lora.alpha", 4}}},
                    {"long", {{"train.epochs", 5}}}};
  const Json keys{{"axes", {{"window.chunk_tokens", {16, 32}}}},
                  {"points", points},
                  {"set", {{"train.warmup_steps", "lora.rank"}}},
                  {"where", {"lora.rank > 4 or window.chunk_tokens == 16"}}};
  const SweepDefinition sweep = read_sweep_definition(files.sweep(keys));
  const auto cells = expand(sweep);
  REQUIRE(cells.size() == 5);
  CHECK(cells[1] == CellValues{{"window.chunk_tokens", 16},
                               {kPointKey, "small"},
                               {"lora.rank", 4},
                               {"lora.alpha", 4},
                               {"train.warmup_steps", 4}});
  const Config base = cell_config(sweep, cells[0], 1).config, small = cell_config(sweep, cells[1], 1).config,
               longer = cell_config(sweep, cells[4], 1).config;
  CHECK(base.lora.rank == 64);
  CHECK(small.lora.rank == 4);
  CHECK(longer.lora.rank == 64);
  CHECK(longer.train.epochs == 5);
  CHECK(longer.window.chunk_tokens == 32);
  // What a run of the sweep is called by: its point, and not all that this sets.
  const NewSweep made = make_sweep(sweep, files.folder / "out", {}, 1);
  CHECK(made.file.cells[1].values ==
        Json{{"window.chunk_tokens", 16}, {"point", "small"}, {"train.warmup_steps", 4}});
  CHECK(made.file.axes.at("point") == Json({"plain", "small", "long"}));

  const auto refuses = [&](const Json& wrong) { return refused(files, {{"points", wrong}}); };
  CHECK(refuses(Json::object()).says("points: wanted an object"));
  CHECK(refuses({{"a", 3}}).says("points: a: wanted an object of config keys"));
  CHECK(refuses({{"", Json::object()}}).says("wanted a name"));
  CHECK(refuses({{"a", {{"lora.rnk", 3}}}}).says("lora.rank"));
  CHECK(refuses({{"a", {{"lora.rank", 3}}}, {"b", {{"lora.rank", 3}}}}).says("points: b: sets what a sets"));
  CHECK(refused(files, {{"axes", {{"lora.rank", {4}}}}, {"points", points}}).says("points: lora.rank: is in axes too"));
}

TEST_CASE("SweepDefinition: set computes from swept, set, given and default keys, in any order; where filters on all",
          "[unit]") {
  const SweepFiles files;
  const auto cells =
      cells_of(files, {{"axes", {{"window.chunk_tokens", {16, 32, 64}}}},
                       {"set",
                        {{"train.prefix_tokens", "window.context_tokens"},
                         {"window.context_tokens", "64 - window.chunk_tokens"},
                         {"lora.alpha", "2 * lora.rank"},
                         {"score.base", false}}},
                       {"where", {"window.context_tokens > 0", "train.prefix_tokens == window.context_tokens"}}});
  REQUIRE(cells.size() == 2);
  const auto value = [&](std::size_t cell, const std::string& key) {
    for (const auto& [name, value] : cells[cell])
      if (name == key) return value;
    return Json();
  };
  CHECK(value(0, "window.context_tokens") == 48);
  CHECK(value(1, "train.prefix_tokens") == 32);
  CHECK(value(1, "lora.alpha") == 128);
  CHECK(value(1, "score.base") == false);
  const auto alone = cells_of(files, {{"where", "window.chunk_tokens == 16"}});  // no axis: the base itself
  CHECK(alone.size() == 1);
}

TEST_CASE("SweepDefinition: a cell's config is checked like a config file, and gets its threads", "[unit]") {
  const SweepFiles files;
  const SweepDefinition sweep = read_sweep_definition(files.sweep({{"axes", {{"train.epochs", {1, 2}}}}}));
  const auto cells = expand(sweep);
  CHECK(cell_config(sweep, cells[1], 3).config.train.epochs == 2);
  CHECK(cell_config(sweep, cells[1], 3).config.run.threads == 3);
  CHECK(cell_config(sweep, cells[1], 3).config.model.path == (files.folder / "model").string());
  const SweepDefinition wrong = read_sweep_definition(files.sweep({{"axes", {{"train.epochs", {"many"}}}}}));
  const Thrown thrown = thrown_by([&] { cell_config(wrong, expand(wrong)[0], 1); });
  CHECK(thrown.code == Exit::usage);
  CHECK(thrown.says("train.epochs: got \"many\""));
}

TEST_CASE("SweepDefinition: a key that is no field of a config is refused with the nearest one", "[unit]") {
  const SweepFiles files;
  const Thrown axis = refused(files, {{"axes", {{"train.epoch", {1}}}}});
  CHECK(axis.says("axes: train.epoch: unknown key; the nearest known key is train.epochs"));
  CHECK(refused(files, {{"axes", {{"train", {1}}}}}).says("the name of a section"));
  CHECK(refused(files, {{"where", {"window.chunk_token > 3"}}}).says("nearest known key is window.chunk_tokens"));
  CHECK(refused(files, {{"set", {{"lora.alpha", "lora.rnk"}}}}).says("nearest known key is lora.rank"));
  CHECK(refused(files, {{"axis", {{"train.epochs", {1}}}}}).says("axis: unknown key; the nearest known key is axes"));
  CHECK(refused(files, {{"slurm", {{"partitoin", "a"}}}})
            .says("slurm.partitoin: unknown key; the nearest known key is partition"));
}

TEST_CASE("SweepDefinition: a key may be set in one place only", "[unit]") {
  const SweepFiles files;
  CHECK(refused(files, {{"axes", {{"lora.rank", {4}}}}, {"set", {{"lora.rank", 8}}}})
            .says("set: lora.rank: is in axes too"));
  CHECK(refused(files, {{"axes", {{"seed", {4}}}}, {"seeds", {1}}}).says("seeds: seed: is in axes too"));
  CHECK(refused(files, {{"axes", {{"lora.rank", {4}}}}, {"zip", {{{"lora.rank", {4}}}}}})
            .says("zip[0]: lora.rank: is in axes too"));
  CHECK(refused(files, {{"axes", {{"lora.rank", {4, 4}}}}}).says("stands twice"));
}

TEST_CASE("SweepDefinition: grids that are empty or too large are refused", "[unit]") {
  const SweepFiles files;
  CHECK(refused(files, {{"axes", {{"lora.rank", Json::array()}}}}).says("the grid is empty"));
  CHECK(refused(files, {{"where", {"lora.rank < 0"}}}).says("none of 1 combinations is left"));
  CHECK(refused(files, {{"zip", {{{"lora.rank", {4, 8}}, {"lora.alpha", {4}}}}}}).says("got 1 values, wanted 2"));
  Json many = Json::array();
  for (int i = 1; i <= 101; ++i) many.push_back(i);
  const Json axes{{"lora.rank", many}, {"train.epochs", many}, {"seed", many}};
  CHECK(refused(files, {{"axes", axes}}).says("got a grid of 1030301 cells, wanted at most 1000000"));
}

TEST_CASE("SweepDefinition: a name that cannot be a folder of its own is refused", "[unit]") {
  const SweepFiles files;
  for (const std::string name : {".", "..", "cells", "a/b", "a\nb", "\x1b[31m"}) {
    INFO(name);
    CHECK(refused(files, {{"name", name}}).says("name: wanted"));
  }
}

TEST_CASE("SweepDefinition: expressions that cannot be read or computed are refused with their place", "[unit]") {
  const SweepFiles files;
  CHECK(refused(files, {{"where", {"lora.rank >"}}}).says("where[0]: \"lora.rank >\", character 12: got the end"));
  CHECK(refused(files, {{"where", {"lora.rank"}}}).says("wanted true or false"));
  CHECK(refused(files, {{"set", {{"lora.alpha", "lora.rank / 0"}}}})
            .says("set.lora.alpha: \"lora.rank / 0\", character 11: division by zero"));
  CHECK(refused(files, {{"set", {{"lora.alpha", "lora.alpha + 1"}}}}).says("computed from itself"));
  CHECK(refused(files, {{"set", {{"lora.alpha", "lora.rank"}, {"lora.rank", "lora.alpha"}}}})
            .says("computed from itself"));
  CHECK(refused(files, {{"base", "nowhere.json"}}).says("nowhere.json"));
  CHECK(refused(files, {{"base", 3}}).says("wanted a config"));
}

TEST_CASE("SweepDefinition: comments and $schema are read past, and change nothing", "[unit]") {
  const SweepFiles files;
  files.write("plain.json", R"({"base": "base.json", "axes": {"train.epochs": [1, 2]}})");
  files.write("commented.json", R"(// a grid
{"$schema": "sweep.schema.json", "base": "base.json", /* two */ "axes": {"train.epochs": [1, 2]}})");
  const SweepDefinition plain = read_sweep_definition(files.folder / "plain.json");
  const SweepDefinition commented = read_sweep_definition(files.folder / "commented.json");
  CHECK(commented.source == plain.source);
  CHECK(expand(commented) == expand(plain));
  files.write("open.json", "{\"base\": \"base.json\" /* and so on }");
  const Thrown open = thrown_by([&] { read_sweep_definition(files.folder / "open.json"); });
  CHECK(open.code == Exit::usage);
  CHECK(open.says("open.json: line 1: a comment begins with /* and never ends"));
}

TEST_CASE("SweepDefinition: a base that extends others is the flat one", "[unit]") {
  const SweepFiles files;
  fs::create_directories(files.folder / "kid");
  files.write("kid/child.json", R"({"extends": "../base.json", "train": {"epochs": 3, "prefix_tokens": null}})");
  const Json wanted = Json::parse(R"({"model": {"path": "../model"}, "data": {"books": ["../book.txt"]},
    "window": {"chunk_tokens": 16, "context_tokens": 48}, "train": {"epochs": 3}})");
  CHECK(read_sweep_definition(files.sweep({{"base", "kid/child.json"}})).base == wanted);
  const Json inside{{"extends", "base.json"}, {"train", {{"epochs", 3}}}};
  const SweepDefinition sweep = read_sweep_definition(files.sweep({{"base", inside}}));
  CHECK(sweep.base.at("train") == Json{{"prefix_tokens", 48}, {"epochs", 3}});
  CHECK(!sweep.base.contains("extends"));
  CHECK(cell_config(sweep, expand(sweep)[0], 1).config.train.epochs == 3);
  files.write("circle.json", R"({"extends": "circle.json"})");
  CHECK(refused(files, {{"base", "circle.json"}}).says("extends: got a circle"));
  CHECK(refused(files, {{"base", {{"extends", "nowhere.json"}}}}).says("nowhere.json"));
}

TEST_CASE("Sweep schema: it names what a sweep file may have, and every config key", "[unit]") {
  const Json schema = sweep_schema();
  const Json& properties = schema.at("properties");
  CHECK(schema.at("additionalProperties") == false);
  CHECK(schema.at("required") == Json::array({"base"}));
  for (const char* key :
       {"name", "base", "axes", "zip", "points", "where", "set", "seeds", "slurm", "notes", "$schema"})
    CHECK(properties.contains(key));
  const Json& epochs = properties.at("axes").at("properties").at("train.epochs");
  CHECK(epochs.at("type") == "array");
  CHECK(epochs.at("items").at("type") == "integer");
  CHECK(epochs.at("items").at("minimum") == 1);
  CHECK(properties.at("set").at("properties").contains("window.context_tokens"));
  CHECK(properties.at("base").at("anyOf")[1].at("properties").contains("train"));
  Json slurm = Json::object();  // each key of the schema is one that is read
  for (const auto& item : properties.at("slurm").at("properties").items()) {
    const Json& type = item.value().at("type");
    slurm[item.key()] = type == "integer" ? Json(7) : type == "array" ? Json::array({"a"}) : Json("a");
  }
  CHECK(to_json(read_slurm_settings(slurm, "sweep.json")) == slurm);
  CHECK(slurm.size() == 12);
}
