#include "catch.h"
#include "program.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("templora report: a sweep's and a run's tables, pages and event files, and what goes wrong", "[cli]") {
  const World world;
  world.write("grid.json", R"({"base": "config.json", "axes": {"train.learning_rate": [0.003, 0.001, 0.0005]}})");
  const Ended sweep = world.run({"sweep", "grid.json", "--out", "sweep"});
  INFO(sweep.text);
  REQUIRE(sweep.code == 0);
  const Json cells = Json::parse(world.content("sweep/sweep.json")).at("cells");
  const std::string first = "sweep/" + cells[0].at("folder").get<std::string>(),
                    last = "sweep/" + cells[2].at("folder").get<std::string>();
  fs::remove_all(world.folder / last);

  const Ended markdown = world.run({"report", "sweep"});
  INFO(markdown.text);
  REQUIRE(markdown.code == 0);
  CHECK(markdown.says("sweep: 1 of 3 cells have not been started."));
  CHECK(markdown.says("## Sweep of learning rate"));

  const Ended json = world.run({"report", "sweep", "--json"});
  REQUIRE(json.code == 0);
  const Json answer = Json::parse(json.text);
  const Json summary = Json::parse(world.content(first + "/summary.json"));
  CHECK(answer.at("runs").size() == 2);
  bool found = false;
  for (const Json& table : answer.at("tables"))
    for (const Json& row : table.at("rows"))
      for (const Json& cell : row) found |= cell.at("value") == summary.at("all").back().at("lora").at("corpus");
  CHECK(found);

  for (const char* format : {"csv", "cells", "chunks", "latex", "html"}) {
    INFO(format);
    CHECK(world.run({"report", "sweep", "--format", format, "--out", "report"}).code == 0);
    CHECK(world.content("report").size() > 500);
  }
  CHECK(world.run({"report", first, "--format", "svg", "--out", "figures"}).code == 0);
  CHECK(world.content("figures/position_1.svg").find("<style>") != std::string::npos);
  const Ended pdf = world.run({"report", first, "--format", "pdf", "--out", "print"});
  INFO(pdf.text);
  if (pdf.says("not found")) {  // librsvg2-bin is wanted for this format only
    CHECK(pdf.code == 4);
    CHECK(pdf.lines() == 1);
  } else {
    CHECK(pdf.code == 0);
    CHECK(world.content("print/position_1.pdf").starts_with("%PDF-"));
    CHECK(!fs::exists(world.folder / "print/position_1.pdf.svg"));
  }
  const Ended missing = world.run({"report", first, "--format", "pdf", "--out", "none"},
                                  [] { ::setenv("PATH", "/nowhere", 1); });
  CHECK(missing.code == 4);
  CHECK(missing.says("rsvg-convert: not found, --format pdf wants it; install librsvg2-bin"));
  CHECK(world.run({"report", "sweep", "--format", "tensorboard", "--out", "events"}).code == 0);
  CHECK(fs::file_size(world.folder / ("events/1-" + fs::path(first).filename().string() +
                                      "/0-book.txt/events.out.tfevents.0.templora")) > 1000);

  world.refuses({"report", "model"}, 3, "no run.json in it");
  world.refuses({"report", "nowhere"}, 3, "no such folder");
  world.refuses({"report", "sweep", "--rows", "train.lerning_rate"}, 2, "the nearest is train.learning_rate");
  world.refuses({"report", "sweep", "--format", "tensorboard"}, 2, "--out DIR");
  world.refuses({"report", "sweep", "--format", "pdf"}, 2, "--out DIR");
  world.refuses({"report", "sweep", "--format", "tokens"}, 3, "wanted score.keep_tokens true");
  world.refuses({"report", "sweep", "--edges", "5,1"}, 2, "--edges");
  world.refuses({"report", "sweep", "--format", "html", "--out", "nowhere/report.html"}, 4, "nowhere/report.html");
}

TEST_CASE("templora pool: runs over different books give the table of one run over them all", "[cli]") {
  const World world;
  world.write_config({{"score.adapter", false}});  // what a module draws goes by its book's place in the run
  world.write("second.txt", "Once more: " + world.content("book.txt").substr(200, 900));
  world.write(
      "grid.json",
      R"({"base": "config.json", "axes": {"data.books": [["book.txt"], ["second.txt"]]}, "set": {"run.threads": 1}})");
  const Ended sweep = world.run({"sweep", "grid.json", "--out", "sweep"});
  INFO(sweep.text);
  REQUIRE(sweep.code == 0);
  REQUIRE(world
              .run({"run", "config.json", "--out", "whole", "--set", R"(data.books=["book.txt", "second.txt"])",
                    "--set", "run.threads=1"})
              .code == 0);
  const Ended pool = world.run({"pool", "sweep", "--out", "pooled"});
  INFO(pool.text);
  REQUIRE(pool.code == 0);
  CHECK(pool.says("| all | 2"));
  for (const char* file : {"table.md", "perplexity.svg"})
    CHECK(world.content(std::string("pooled/") + file) == world.content(std::string("whole/") + file));
  CHECK(Json::parse(world.content("pooled/summary.json")).at("all") ==
        Json::parse(world.content("whole/summary.json")).at("all"));
  CHECK(Json::parse(world.run({"pool", "sweep", "--json"}).text).at("pooled").size() == 2);

  world.refuses({"pool", "whole", "sweep"}, 3, "read too; wanted each text once");
  REQUIRE(world
              .run({"run", "config.json", "--out", "other", "--set", R"(data.books=["second.txt"])", "--set",
                    "train.epochs=1"})
              .code == 0);
  world.refuses({"pool", "whole", "other"}, 3,
                "config.train.epochs is 2 and 1; wanted runs that differ in data.books only");
  world.refuses({"pool", "sweep", "--out", "whole"}, 2, "a run's folder");
  fs::remove(world.folder / "other/summary.json");
  world.refuses({"pool", "other"}, 3, "wanted finished runs");
  world.refuses({"pool", "model"}, 3, "wanted finished runs");
}
