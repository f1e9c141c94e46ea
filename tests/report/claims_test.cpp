#include "report/claims.h"

#include <cmath>

#include "catch.h"
#include "made_runs.h"
#include "metrics/recall.h"
#include "run/recall_record.h"

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
  if (gflop > 0) summary["cost"]["method_flops_per_token"] = gflop * 1e9;
  write_file_atomically(path / "summary.json", summary.dump());
  return path;
}

std::vector<RunSummary> summaries(const std::vector<fs::path>& folders) {
  std::vector<RunSource> sources;
  for (const fs::path& folder : folders) sources.push_back({folder, folder.filename().string(), {}});
  return read_report_runs(sources, {}, false);
}

ClaimTable claims_of(const std::vector<fs::path>& folders, const std::vector<fs::path>& adapted = {}) {
  return claim_table(summaries(folders), adapted.empty() ? std::vector<RunSummary>() : summaries(adapted));
}

/// Books of a run get other texts, as if it had read other ones.
void rename_books(const fs::path& run) {
  const std::string mark = "\"text ";
  std::string books = read_file(run / "books.jsonl");
  for (std::size_t at = 0; (at = books.find(mark, at)) != std::string::npos; at += mark.size())
    books.insert(at + mark.size(), "other ");
  write_file_atomically(run / "books.jsonl", books);
}

}  // namespace

TEST_CASE("claim_table: what runs were made with is found, and nothing is said of what was not run", "[unit]") {
  const TempFolder folder;
  const fs::path full = claim_run(folder.path() / "full", "all", 0.1, 5),
                 chunk = claim_run(folder.path() / "chunk", "chunk", 0.095, 2),
                 dear = claim_run(folder.path() / "dear", "chunk", 0.095, 5),
                 unknown = claim_run(folder.path() / "unknown", "chunk", 0.095, 0),
                 weak = claim_run(folder.path() / "weak", "chunk", 0.05, 2);
  const ClaimTable table = claims_of({full, chunk});
  REQUIRE(table.claims.size() == 4);
  CHECK(table.books == 8);
  CHECK(table.reference == "the better of the raw base and other_book");

  // made_runs.h: a gain counts (1 - exp(-at / 200)), and the adapter is better by 0.01 sin(2.1 b) beside.
  const double rise = mean_rise();
  double of_book = 0;
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
  CHECK(table.claims[2].remark == "2.00 GFLOP a token against 5.00");
  CHECK(!table.claims[3].p);
  CHECK(!table.claims[3].holds());

  const std::string text = claims_markdown(table);
  CHECK(text.find("| H4 | what was said once is recalled | – | – | – | not tested |") != std::string::npos);

  CHECK(claims_of({full, dear}).claims[2].holds() == false);  // kept, but for no fewer FLOPs
  CHECK(claims_of({full, weak}).claims[2].holds() == false);
  CHECK(claims_of({full, unknown}).claims[2].holds() == false);
  CHECK(!claims_of({full}).claims[2].holds());
  CHECK(to_json(table).at("claims").at(0).at("p") == 1.0 / 256);

  // Books that are split over two runs are taken together.
  const fs::path more = claim_run(folder.path() / "more", "all", 0.1, 5, 2);
  rename_books(more);
  CHECK(claims_of({full, more}).books == 10);
  // One segment leaves nothing to grow.
  CHECK(claim_table(summaries({full}), {}, {0}).claims[1].remark == "one segment: wanted score.segment_edges");
}

TEST_CASE("claim_table: an adapted base is a reference where it is the better one, book by book", "[unit]") {
  const TempFolder folder;
  const fs::path full = claim_run(folder.path() / "full", "all", 0.1, 5),
                 adapted = claim_run(folder.path() / "adapted", "all", 0.1, 5);
  const auto of_other_weights = [](Json& record) {
    record["identity"]["weights_hash"] = "0123012301230123";
    record["config"]["model"]["path"] = "/models/merged";
  };
  change_record(adapted, of_other_weights);
  // Its base has the raw base's NLLs, which other_book is below in every book: nothing changes.
  const ClaimTable alone = claims_of({full}), worse = claims_of({full}, {adapted});
  CHECK(worse.reference == "the best of the raw base, other_book and merged");
  CHECK(worse.claims[0].nats->mean == alone.claims[0].nats->mean);

  // Now it is better by half a nat in books 0 and 1, and worse in the others.
  MadeRun made{.books = 8, .gain = 0.1};
  made.base_of_book = [](std::int64_t b) { return b < 2 ? -0.5 : 0.5; };
  const fs::path mixed = folder.path() / "mixed";
  make_run(mixed, made);
  change_record(mixed, [&](Json& record) {
    of_other_weights(record);
    record["config"]["lora"]["rows"] = "all";
  });
  const ClaimTable better = claims_of({full}, {mixed});
  const double gain_of_other = alone.claims[0].nats->mean;
  const double rise = mean_rise();
  // In two of eight books the reference is lower by half a nat less what other_book was below the base.
  CHECK(std::abs(better.claims[0].nats->mean - (gain_of_other + 2.0 / 8 * (0.5 - 0.03 * rise))) <= 1e-6);
}

TEST_CASE("claim_table: recall needs a gate that was passed", "[unit]") {
  const TempFolder folder;
  const fs::path run = claim_run(folder.path() / "run", "all", 0.1, 5);
  const auto claim_with = [&](bool in_window, bool knows) {
    std::string facts, probes;
    for (std::int64_t f = 0; f < 8; ++f) {
      FactRecord fact;
      fact.book = "book_0.txt";
      fact.fact = f;
      fact.kind = "place";
      fact.answer_index = f;
      fact.mentions = {{10 * f, 10 * f + 9}};
      facts += to_json(fact).dump() + "\n";
      for (const char* arm : {"base", "lora", kInWindow}) {
        if (arm == std::string(kInWindow) && !in_window) continue;
        ProbeRecord probe;
        probe.fact = f;
        probe.rung = "choice";
        probe.arm = arm;
        probe.distance_tokens = 1024;
        probe.tokens = 5;
        const bool right = arm != std::string("base") && (knows || arm == std::string("lora"));
        for (std::int64_t a = 0; a < 8; ++a)
          probe.answers_nll.push_back(a == (right ? f : 0) ? 1 : 2 + 0.1 * double(a));
        probe.nll = probe.answers_nll[std::size_t(f)];
        probe.rank = rank_of(probe.answers_nll, std::size_t(f));
        probe.of = 8;
        probe.correct = probe.rank == 1;
        probes += to_json(probe).dump() + "\n";
      }
    }
    write_file_atomically(run / kFactsName, facts);
    write_file_atomically(run / kProbesName, probes);
    return claims_of({run}).claims[3];
  };
  const Claim known = claim_with(true, true);
  CHECK(known.remark == "8 of 8 right, 1,024 tokens after they left the window");
  CHECK(known.holds() == true);
  CHECK(*known.p < 0.001);
  CHECK_FALSE(claim_with(true, false).holds());
  CHECK(claim_with(true, false).remark.find("not measurable with this model: 1 of 8") != std::string::npos);
  CHECK_FALSE(claim_with(false, true).holds());
}

TEST_CASE("claim_table: runs that do not go together are refused", "[unit]") {
  const TempFolder folder;
  const fs::path a = claim_run(folder.path() / "a", "all", 0.1, 5), b = claim_run(folder.path() / "b", "all", 0.1, 5);
  CHECK_THROWS_WITH(claims_of({a, b}), Catch::Matchers::Contains("read twice"));
  change_record(b, [](Json& record) { record["config"]["train"]["prefix_tokens"] = 7; });
  CHECK_THROWS_WITH(claims_of({a, b}), Catch::Matchers::Contains("differ in train.prefix_tokens"));
  const fs::path chunk = claim_run(folder.path() / "chunk", "chunk", 0.1, 2);
  change_record(chunk, [](Json& record) { record["config"]["window"]["context_tokens"] = 100; });
  CHECK_THROWS_WITH(claims_of({a, chunk}), Catch::Matchers::Contains("differ in window.context_tokens"));
  CHECK_THROWS_WITH(claims_of({a}, {chunk}), Catch::Matchers::Contains("differ in window.context_tokens"));
  CHECK_THROWS_WITH(claim_table({}), Catch::Matchers::Contains("no finished perplexity run"));
}
