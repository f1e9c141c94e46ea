#include "report/pool.h"

#include "catch.h"
#include "made_runs.h"
#include "run/run_data.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Runs "a" and "b" over different texts.
std::vector<NamedRun> two_runs(const TempFolder& folder) {
  std::vector<NamedRun> runs;
  for (const char* name : {"a", "b"}) {
    MadeRun made;
    made.books = 1;
    make_run(folder / name, made);
    runs.push_back({name, read_run(folder / name)});
    runs.back().data.books.front().text_hash = name;
  }
  return runs;
}

}  // namespace

TEST_CASE("pooled: an adapter is what was read of it, wherever it lies", "[unit]") {
  const TempFolder folder;
  std::vector<NamedRun> runs = two_runs(folder);
  for (NamedRun& run : runs) {
    run.data.run["config"]["lora"]["init_from"] = "/adapters/" + run.name;
    run.data.run["identity"]["init_from_hash"] = "the same";
  }
  CHECK(pooled(runs).books.size() == 2);
  runs[1].data.run["identity"]["init_from_hash"] = "another";
  CHECK_THROWS_WITH(pooled(runs), Catch::Matchers::Contains("init_from_hash is \"the same\" and \"another\""));
  runs[1].data.run["identity"].erase("init_from_hash");
  runs[1].data.run["config"]["lora"]["init_from"] = nullptr;
  CHECK_THROWS_AS(pooled(runs), Error);
}

TEST_CASE("pooled: runs may have been cut at other edges; the first's hold, or those that are asked for", "[unit]") {
  const TempFolder folder;
  std::vector<NamedRun> runs = two_runs(folder);
  runs[1].data.run["config"]["score"]["segment_edges"] = {0, 300};
  CHECK(perplexity_table(pooled(runs)).all.size() == 4);
  CHECK(perplexity_table(pooled(runs, {0, 100})).all.size() == 3);
}
