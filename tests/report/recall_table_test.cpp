#include "report/recall_table.h"

#include <algorithm>
#include <fstream>

#include "catch.h"
#include "made_runs.h"
#include "report/report_formats.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

/// One kind's eight facts in a book, said once; `right` arms know them, others always choose answer 0.
RecallData data_of(const std::vector<std::string>& right, std::int64_t book = 0) {
  RecallData data;
  for (std::int64_t f = 0; f < 8; ++f) {
    FactRecord fact;
    fact.book = "book_0.txt";
    fact.book_index = book;
    fact.fact = f;
    fact.kind = "place";
    fact.answer_index = f;
    fact.answer = "Sarn Dovel";
    fact.unplanted = "Gerat Nusol";
    fact.mentions = {{10 * f, 10 * f + 9}};
    data.facts.push_back(fact);
    for (const char* arm : {"base", "lora", "other_book", kInWindow, kBm25}) {
      const bool knows = std::find(right.begin(), right.end(), arm) != right.end();
      ProbeRecord probe;
      probe.book_index = book;
      probe.fact = f;
      probe.rung = "choice";
      probe.arm = arm;
      probe.distance_tokens = 4096;
      probe.tokens = 5;
      for (std::int64_t a = 0; a < 8; ++a) probe.answers_nll.push_back(a == (knows ? f : 0) ? 1 : 2 + 0.1 * double(a));
      probe.nll = probe.answers_nll[std::size_t(f)];
      probe.rank = rank_of(probe.answers_nll, std::size_t(f));
      probe.of = 8;
      probe.correct = probe.rank == 1;
      data.probes.push_back(probe);
    }
  }
  return data;
}

const Json kRecord{
    {"config", {{"window", {{"chunk_tokens", 512}, {"context_tokens", 512}}}, {"recall", {{"repeats", 4}}}}}};

void write_records(const fs::path& run, const RecallData& data) {
  std::ofstream facts(run / kFactsName), probes(run / kProbesName);
  for (const FactRecord& fact : data.facts) facts << to_json(fact).dump() << "\n";
  for (const ProbeRecord& probe : data.probes) probes << to_json(probe).dump() << "\n";
}

}  // namespace

TEST_CASE("recall.md: right answers of all asked, the part between floor and ceiling, and p", "[unit]") {
  const std::string text = recall_markdown(recall_table({data_of({"lora", kInWindow})}), kRecord);
  INFO(text);
  CHECK(has(text, "| rung | distance | said | chance | base | Temp-LoRA | other_book | in window | BM25 | recalled |"));
  // Answer 0 is what all arms like: there the adapter has changed nothing.
  CHECK(has(text, "| choice | 4,096 | all | 12.5 % | 1/8 | 8/8 | 1/8 | 8/8 | 1/8 | 100 % | \\< 0.0001 | 7/8 (p "));
  CHECK(has(text, "choice: 8/8 by the base with the fact in its window, 80 % wanted: measurable"));
  CHECK(has(text, "the floor being other_book"));
  CHECK(has(text, "8 facts in 1 book, half said 4 times"));
}

TEST_CASE("recall.md: what the base cannot read in its window is not called zero", "[unit]") {
  RecallData data = data_of({});
  const std::string text = recall_markdown(recall_table({data}), kRecord);
  INFO(text);
  CHECK(has(text, "| not measurable with this model |"));
  CHECK_FALSE(has(text, "100 % |"));
  // A zero has its upper bound.
  for (ProbeRecord& probe : data.probes) probe.correct = false;
  CHECK(has(recall_markdown(recall_table({data}), kRecord), "| 0/8 (\\< 31 %) |"));
}

TEST_CASE("report: recall has a table for each run, and one for runs with the same settings together", "[unit]") {
  const TempFolder folder;
  MadeRun made;
  make_run(folder / "a", made);
  made.seed = 43;
  make_run(folder / "b", made);
  made.chunk_tokens = 100;
  make_run(folder / "c", made);
  make_run(folder / "none", MadeRun());
  for (const char* run : {"a", "b", "c"}) write_records(folder / run, data_of({"lora", kInWindow}));
  std::vector<RunSource> sources;
  for (const char* run : {"a", "b", "c", "none"}) sources.push_back({folder / run, run, {}});
  const Report report = make_report(read_report_runs(sources, {}, false), {});
  std::vector<std::string> titles;
  for (const ReportTable& table : report.tables)
    if (table.title.starts_with("Recall")) titles.push_back(table.title);
  CHECK(titles == std::vector<std::string>{"Recall: a", "Recall: b", "Recall: c", "Recall: 2 runs together"});
  const std::string text = report_markdown(report);
  CHECK(has(text, "16/16"));
  CHECK(has(text, "8/8"));
  for (const std::string& page : {report_latex(report), report_json(report).dump(), cells_csv(report)})
    CHECK_FALSE(page.empty());
  // Damaged records are an error with their place.
  std::ofstream(folder / "a" / kProbesName, std::ios::app) << "{\"book_index\": 0}\n";
  CHECK_THROWS_WITH(make_report(read_report_runs(sources, {}, false), {}),
                    Catch::Matchers::Contains("probes.jsonl:41: fact: "));
}
