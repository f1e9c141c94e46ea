#include "report/claims.h"

#include <cmath>

#include "catch.h"
#include "made_runs.h"

using namespace templora;
using namespace templora_test;

namespace {

/// Twelve chunks of eight books, made to a record of the full method or of the chunk's rows with these FLOPs.
fs::path claim_run(const fs::path& path, const std::string& rows, double gain, double gflop, std::int64_t books = 8) {
  MadeRun made{.books = books, .gain = gain};
  if (rows == "all") made.other_gain = 0.03;
  make_run(path, made);
  change_record(path, [&](Json& record) {
    record["config"]["lora"]["rows"] = rows;
    if (rows == "all") record["config"]["control"] = {"other_book"};
  });
  Json summary = summary_of(path);
  const double tokens = static_cast<double>(12 * 50 * books);
  summary["cost"]["phases"] = {{"score_base", {{"flops", 1e9 * tokens}}}, {"train", {{"flops", gflop * 1e9 * tokens}}}};
  write_file_atomically(path / "summary.json", summary.dump());
  return path;
}

ClaimTable claims_of(const std::vector<fs::path>& folders) {
  std::vector<RunSource> sources;
  for (const fs::path& folder : folders) sources.push_back({folder, folder.filename().string(), {}});
  return claim_table(read_report_runs(sources, {}, false));
}

}  // namespace

TEST_CASE("claim_table: what runs were made with is found, and nothing is said of what was not run", "[unit]") {
  const TempFolder folder;
  const fs::path full = claim_run(folder.path() / "full", "all", 0.1, 5),
                 chunk = claim_run(folder.path() / "chunk", "chunk", 0.095, 2),
                 dear = claim_run(folder.path() / "dear", "chunk", 0.095, 4.5),
                 weak = claim_run(folder.path() / "weak", "chunk", 0.05, 2);
  const ClaimTable table = claims_of({full, chunk});
  REQUIRE(table.claims.size() == 4);
  CHECK(table.books == 8);
  CHECK(table.reference == "other_book");

  // made_runs.h: a gain counts (1 - exp(-at / 200)), and the adapter is better by 0.01 sin(2.1 b) beside.
  double rise = 0, of_book = 0;
  for (int c = 0; c < 12; ++c)
    for (int t = 0; t < (c == 0 ? 49 : 50); ++t) rise += 1 - std::exp(-(c * 50 + t) / 200.0);
  rise /= 599;
  for (int b = 0; b < 8; ++b) of_book += 0.01 * std::sin(b * 2.1) / 8;
  const auto near = [](double a, double b) { return std::abs(a - b) <= 1e-6; };
  CHECK(near(table.claims[0].nats->mean, -(0.07 * rise + of_book)));
  CHECK(table.claims[0].p == 1.0 / 256);
  CHECK(near(*table.claims[0].adjusted, 4.0 / 256));
  CHECK(table.claims[0].holds() == true);
  CHECK(table.claims[1].nats->mean < 0);
  CHECK(table.claims[1].holds() == true);
  CHECK(near(table.claims[2].nats->mean, -(0.095 * rise + of_book) + 0.8 * (0.1 * rise + of_book)));
  CHECK(table.claims[2].holds() == true);
  CHECK(table.claims[2].remark == "3.00 GFLOP a token, the base's pass included, against 5.00");
  CHECK(!table.claims[3].p);
  CHECK(!table.claims[3].holds());

  const std::string text = claims_markdown(table);
  CHECK(text.find("| H4 | what was said once is recalled | – | – | – | not tested |") != std::string::npos);

  CHECK(claims_of({full, dear}).claims[2].holds() == false);  // kept, but for no fewer FLOPs
  CHECK(claims_of({full, weak}).claims[2].holds() == false);
  CHECK(!claims_of({full}).claims[2].holds());
  CHECK(!claims_of({chunk, full}).claims[2].remark.empty());
}

TEST_CASE("claim_table: a second base is the adapted one, and the better reference counts book by book", "[unit]") {
  const TempFolder folder;
  const fs::path full = claim_run(folder.path() / "full", "all", 0.1, 5),
                 adapted = claim_run(folder.path() / "adapted", "all", 0.1, 5);
  change_record(adapted, [](Json& record) {
    record["identity"]["weights_hash"] = "0123012301230123";
    record["config"]["model"]["path"] = "/models/merged";
  });
  // Its base has the raw base's NLLs, which are above those of other_book in every book: nothing changes.
  const ClaimTable alone = claims_of({full}), both = claims_of({full, adapted});
  CHECK(both.reference == "the better of other_book and merged");
  CHECK(both.claims[0].nats->mean == alone.claims[0].nats->mean);
}

TEST_CASE("claim_table: runs that do not go together are refused", "[unit]") {
  const TempFolder folder;
  const fs::path a = claim_run(folder.path() / "a", "all", 0.1, 5), b = claim_run(folder.path() / "b", "all", 0.1, 5);
  CHECK_THROWS_WITH(claims_of({a, b}), Catch::Matchers::Contains("read twice"));
  change_record(b, [](Json& record) { record["config"]["train"]["prefix_tokens"] = 7; });
  CHECK_THROWS_WITH(claims_of({a, b}), Catch::Matchers::Contains("differ in train.prefix_tokens"));
  CHECK_THROWS_WITH(claim_table({}), Catch::Matchers::Contains("no finished perplexity run"));
}
