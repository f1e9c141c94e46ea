#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "catch.h"
#include "made_runs.h"
#include "report/markdown.h"
#include "report/page.h"
#include "report/report_formats.h"
#include "report/run_groups.h"
#include "report/svg.h"
#include "report/sweep_slices.h"
#include "run/run_data.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

namespace {

const ReportTable& table_of(const Report& report, const std::string& id) {
  for (const ReportTable& table : report.tables)
    if (table.id == id) return table;
  FAIL("no table " << id);
  throw Error(Exit::usage, id);
}

const Cell& cell_of(const ReportTable& table, std::size_t row, const std::string& name) {
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (table.columns[c].name == name) return table.rows.at(row).at(c);
  FAIL("no column " << name);
  throw Error(Exit::usage, name);
}

/// Nine cells of a grid over Δ and L_X; gain grows with Δ.
std::vector<RunSource> grid(const TempFolder& folder, std::int64_t seeds = 1) {
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100, 200})
    for (const std::int64_t context : {50, 100, 200})
      for (std::int64_t seed = 1; seed <= seeds; ++seed) {
        MadeRun made;
        made.chunk_tokens = chunk;
        made.context_tokens = context;
        made.seed = seed;
        made.chunks = 1200 / chunk;
        made.gain = 0.001 * static_cast<double>(chunk) + 0.0001 * static_cast<double>(context) +
                    0.01 * static_cast<double>(seed);
        const std::string name = std::to_string(chunk) + "-" + std::to_string(context) + "-" + std::to_string(seed);
        make_run(folder / name, made);
        sources.push_back({folder / name,
                           name,
                           {{"window.chunk_tokens", std::to_string(chunk)},
                            {"window.context_tokens", std::to_string(context)},
                            {"seed", std::to_string(seed)}}});
      }
  return sources;
}

}  // namespace

TEST_CASE("report: the table's numbers are those of summary.json, to the last digit in the CSV", "[unit]") {
  const TempFolder folder;
  MadeRun made;
  made.books = 9;
  make_run(folder / "a", made);
  const Report report = make_report(read_report_runs({{folder / "a", "a", {}}}, {}, false), {});
  const ReportTable& table = table_of(report, "pg19");
  const Json rows = summary_of(folder / "a").at("all");
  REQUIRE(table.rows.size() == rows.size());
  const std::string csv = cells_csv(report);
  for (std::size_t s = 0; s < rows.size(); ++s) {
    CHECK(*cell_of(table, s, "base").value == rows[s].at("base").at("corpus").get<double>());
    CHECK(*cell_of(table, s, "lora").value == rows[s].at("lora").at("corpus").get<double>());
    CHECK(*cell_of(table, s, "change_percent").value == rows[s].at("change_corpus_percent").get<double>());
    const Json& mean = rows[s].at("over_books").at("lora");
    CHECK(*cell_of(table, s, "mean_change_percent").low == mean.at("low").get<double>());
    CHECK(cell_of(table, s, "mean_change_percent").method == "bootstrap-t");
    CHECK(cell_of(table, s, "base").books == 9);
    CHECK(has(csv, "," + fmt::format("{}", rows[s].at("lora").at("corpus").get<double>()) + ","));
  }
  CHECK(*cell_of(table_of(report, "pg19_chunk_mean"), 0, "chunk_mean_base").value ==
        rows[0].at("base").at("chunk_mean").get<double>());
}

TEST_CASE("report: the paper's values stand beside ours, and what is unknown stays empty", "[unit]") {
  const TempFolder folder;
  MadeRun made;
  made.notes = {{"paper_version", {"v1", "v3"}},
                {"paper_value", {{"0-200", {{"base", 5.5}, {"temp_lora", nullptr}}}}},
                {"paper_change_percent_over_all_models",
                 {{"v1", {{"0-200", -3.6}, {"mean", -1.0}}}, {"v3", {{"0-200", nullptr}, {"mean", -2.0}}}}}};
  make_run(folder / "a", made);
  const Report report = make_report(read_report_runs({{folder / "a", "a", {}}}, {}, false), {});
  const std::string markdown = report_markdown(report);
  CHECK(has(markdown, "| 5.50 (v1/v3) | -3.6 (v1) |"));
  CHECK(has(markdown, "| – | -1.0 (v1); -2.0 (v3) |"));
  CHECK(has(markdown, " · paper version v1, v3"));
  CHECK(has(markdown, "What the paper has for these rows is unknown of: Temp-LoRA PPL."));
  make_run(folder / "b", {});  // whose config says nothing of the paper
  const Report without = make_report(read_report_runs({{folder / "b", "b", {}}}, {}, false), {});
  for (const Column& column : table_of(without, "pg19").columns) CHECK(!column.paper);
  CHECK(!has(table_of(without, "pg19").note, "unknown of"));
  CHECK(!has(markdown, "reproduced"));
  const auto lines = lines_of(cells_csv(report));
  const auto line = std::find_if(lines.begin(), lines.end(),
                                 [](const std::string& l) { return has(l, ",0-200,") && has(l, ",change_percent,"); });
  REQUIRE(line != lines.end());
  CHECK(has(*line, ",-3.6,v1,v1=-3.6;v3=,a,0123456789ab"));
  const auto lora = std::find_if(lines.begin(), lines.end(),
                                 [](const std::string& l) { return has(l, ",0-200,") && has(l, ",lora,"); });
  CHECK(has(*lora, ",,v1/v3,v1/v3=,a,0123456789ab"));
}

TEST_CASE("report: seeds of one setting are one row, their mean and their standard deviation", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  std::vector<double> values;
  for (const std::int64_t seed : {1, 2, 3}) {
    MadeRun made;
    made.seed = seed;
    made.gain = 0.1 * static_cast<double>(seed);
    const std::string name = "s" + std::to_string(seed);
    make_run(folder / name, made);
    sources.push_back({folder / name, name, {}});
    values.push_back(summary_of(folder / name).at("all").back().at("lora").at("corpus").get<double>());
  }
  const Report report = make_report(read_report_runs(sources, {}, false), {});
  const ReportTable& table = table_of(report, "pg19");
  REQUIRE(table.rows.size() == 4);
  const Cell& cell = cell_of(table, 3, "lora");
  const double mean = (values[0] + values[1] + values[2]) / 3;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  CHECK(*cell.value == Approx(mean).epsilon(1e-14));
  CHECK(*cell.seed_sd == Approx(std::sqrt(squares / 2)));
  CHECK(cell.seeds == 3);
  CHECK(!cell.low);
  CHECK(cell.method == "");
  CHECK(cell.runs == std::vector<std::size_t>{0, 1, 2});
  CHECK(shown(cell, Column::of("", "", "{:.3f}")) == fmt::format("{:.3f} ± {:.2g}", mean, *cell.seed_sd));
}

TEST_CASE("report: the interval over books is that of each book's mean over the seeds, in every format", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  std::vector<double> differences(12), seeds;
  for (const std::int64_t seed : {7, 8}) {
    MadeRun made;
    made.books = 12;
    made.seed = seed;
    made.gain = 0.01 * static_cast<double>(seed);
    const std::string name = "s" + std::to_string(seed);
    make_run(folder / name, made);
    sources.push_back({folder / name, name, {}});
    const RunData run = read_run(folder / name);
    for (std::size_t b = 0; b < 12; ++b) {
      const auto& nll = run.nll.at(static_cast<std::int64_t>(b));
      double difference = 0;
      for (std::size_t t = 0; t < nll.at(Arm::base).size(); ++t)
        difference += double(nll.at(Arm::lora)[t]) - double(nll.at(Arm::base)[t]);
      differences[b] += difference / static_cast<double>(nll.at(Arm::base).size()) / 2;
    }
    const Json all = summary_of(folder / name).at("all").back();
    seeds.push_back(all.at("over_books").at("lora").at("change_percent").get<double>());
  }
  const BookMean wanted = mean_over_books(differences);
  const Report report = make_report(read_report_runs(sources, {}, false), {});
  const ReportTable& table = table_of(report, "pg19");
  const Cell& cell = cell_of(table, 3, "mean_change_percent");
  CHECK(*cell.value == Approx(100 * std::expm1(wanted.mean)).epsilon(1e-9));
  CHECK(*cell.low == Approx(100 * std::expm1(*wanted.low)).epsilon(1e-9));
  CHECK(*cell.high == Approx(100 * std::expm1(*wanted.high)).epsilon(1e-9));
  CHECK(cell.method == "bootstrap-t");
  CHECK(*cell.seed_sd == Approx(std::abs(seeds[0] - seeds[1]) / std::sqrt(2)));
  CHECK(cell_of(table, 1, "growth_percent").method == "bootstrap-t");
  CHECK(cell_of(table, 1, "growth_percent").seed_sd.has_value());

  const std::string low = fmt::format("{}", *cell.low), high = fmt::format("{}", *cell.high),
                    sd = fmt::format("{}", *cell.seed_sd);
  const std::string csv = cells_csv(report);
  CHECK(has(csv, ",value,low,high,method,over,seed_sd,seeds,books,"));
  CHECK(has(csv, fmt::format(",{},{},bootstrap-t,books,{},2,12,", low, high, sd)));
  const std::string people =
      fmt::format("{:+.2f} [{:+.2f}, {:+.2f}] ± {:.2g}", *cell.value, *cell.low, *cell.high, *cell.seed_sd);
  CHECK(has(report_markdown(report), "| " + people + " |"));
  CHECK(has(report_latex(report), "$\\pm$"));
  CHECK(has(report_page(report), "<span class=\"interval\"> [" + people.substr(people.find('[') + 1) + "</span>"));
  const Json json = report_json(report);
  bool found = false;
  for (const Json& row : json.at("tables")[0].at("rows"))
    for (const Json& field : row) {
      if (!field.contains("low")) continue;
      found |= field.value("seed_sd", 0.0) == *cell.seed_sd && field.value("low", 0.0) == *cell.low &&
               field.value("seeds", 0) == 2;
    }
  CHECK(found);
  for (const std::string& text : {report_markdown(report), report_latex(report), report_page(report)}) {
    CHECK(has(text, "standard deviation"));
    CHECK(!has(text, "range"));
  }
  for (const Figure& figure : report.figures) {
    if (figure.id != "segments" && figure.id != "position_1") continue;
    INFO(figure.id);
    CHECK(has(figure.note, "s7 (config 0123456789ab), s8 (config 0123456789ab)"));
    CHECK(has(figure.note + figure.svg, "mean over"));
    CHECK(!attributes(figure.svg, "data-seed-sd").empty());
    CHECK(!attributes(figure.svg, "data-low").empty());
  }
}

TEST_CASE("report: a run that was made again with its seed is one result, and other numbers are told", "[unit]") {
  const TempFolder folder;
  for (const char* run : {"a", "b", "c"}) {
    MadeRun made;
    made.gain = *run == 'c' ? 0.2 : 0.1;
    make_run(folder / run, made);
  }
  const auto report_of = [&](const char* second) {
    return make_report(read_report_runs({{folder / "a", "a", {}}, {folder / second, second, {}}}, {}, false), {});
  };
  for (const char* second : {"b", "c"}) {
    const Report report = report_of(second);
    const Cell& cell = cell_of(table_of(report, "pg19"), 3, "lora");
    CHECK(*cell.value == summary_of(folder / "a").at("all").back().at("lora").at("corpus").get<double>());
    CHECK(cell.runs == std::vector<std::size_t>{0});
    CHECK(!cell.low);
    CHECK(cell.method == "");
    REQUIRE(report.remarks.size() == 1);
  }
  CHECK(has(report_of("b").remarks[0], "b has the settings and the seed of a and the same numbers"));
  const std::string other = report_of("c").remarks[0];
  CHECK(has(other, "c has the settings and the seed of a, but other numbers (change "));
  CHECK(has(other, "only a is counted"));
}

TEST_CASE("report: an unfinished run is named and left out, unless it is asked for", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  MadeRun half;
  half.finished = false;
  half.seed = 43;
  make_run(folder / "b", half);
  const std::vector<RunSource> sources{{folder / "a", "a", {}}, {folder / "b", "b", {}}};
  const Report without = make_report(read_report_runs(sources, {}, false), {});
  REQUIRE(without.remarks.size() == 1);
  CHECK(has(without.remarks[0], "1 of 2 runs not finished; left out"));
  CHECK(runs_behind(table_of(without, "pg19")) == std::vector<std::size_t>{0});
  const Report with = make_report(read_report_runs(sources, {}, true), {});
  CHECK(runs_behind(table_of(with, "pg19")) == std::vector<std::size_t>{0, 1});

  // A line that was cut short is passed over where only records count, and told where they cannot be used.
  const std::string chunks = read_file(folder / "b/chunks.jsonl");
  write_file_atomically(folder / "b/chunks.jsonl", chunks.substr(0, chunks.size() - 9));
  const Report cut = make_report(read_report_runs(sources, {}, true), {});
  CHECK(has(cut.remarks[0], "b cannot be read yet"));
  CHECK(runs_behind(table_of(cut, "pg19")) == std::vector<std::size_t>{0});
}

TEST_CASE("report: other segment edges are made the first run's, or those that are asked for", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  MadeRun other;
  other.edges = {0, 300};
  other.context_tokens = 100;
  make_run(folder / "b", other);
  const std::vector<RunSource> sources{{folder / "a", "a", {}}, {folder / "b", "b", {}}};
  const auto runs = read_report_runs(sources, {}, false);
  REQUIRE(runs[1].table->all.size() == 4);
  CHECK(runs[1].table->all[1].label == "200-400");
  CHECK(runs[1].table->all[1].base->corpus == runs[0].table->all[1].base->corpus);
  CHECK(read_report_runs(sources, {0, 100}, false)[0].table->all.size() == 3);
  auto of_sweep = sources;  // which has its own
  for (RunSource& source : of_sweep) source.edges = {0, 100, 200, 300};
  for (const RunSummary& run : read_report_runs(of_sweep, {}, false)) CHECK(run.table->all.size() == 5);
  CHECK(read_report_runs(of_sweep, {0, 100}, false)[0].table->all.size() == 3);
}

TEST_CASE("report: a sweep's table has an axis in the rows and one in the columns, W for L_X where it fits", "[unit]") {
  const TempFolder folder;
  const auto runs = read_report_runs(grid(folder, 2), {}, false);
  const auto slices = sweep_slices(runs, {});
  REQUIRE(slices.size() == 1);
  const SweepSlice& slice = slices[0];
  CHECK(slice.row_key == "window.chunk_tokens");
  CHECK(slice.column_key == "window.context_tokens");
  CHECK(slice.rows == std::vector<std::string>{"50", "100", "200"});
  REQUIRE(slice.cells.size() == 3);
  const Cell& cell = slice.cells[2][1];
  CHECK(cell.runs.size() == 2);
  const double a = *runs[cell.runs[0]].table->all.back().change_corpus_percent,
               b = *runs[cell.runs[1]].table->all.back().change_corpus_percent;
  CHECK(*cell.value == Approx((a + b) / 2).epsilon(1e-14));
  CHECK(runs[cell.runs[0]].name == "200-100-1");

  const auto by_w = sweep_slices(runs, {"W", "window.chunk_tokens", "lora"});
  REQUIRE(by_w.size() == 1);
  CHECK(by_w[0].rows == std::vector<std::string>{"100", "150", "200", "250", "300", "400"});
  CHECK(!by_w[0].cells[0][2].value);  // W 100 with Δ 200 was not run
  const ReportTable table = sweep_table(slice, runs, 1);
  CHECK(table.columns[1].keys == Keys{{"window.context_tokens", "50"}});
}

TEST_CASE("report: an axis that is left over gives a table for each of its values", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources = grid(folder);
  for (RunSource& source : sources) source.values["lora.rank"] = source.name.starts_with("50") ? "8" : "64";
  // The rank follows from Δ here, so it holds no tables apart; against L_X alone it does.
  CHECK(sweep_slices(read_report_runs(sources, {}, false), {}).size() == 1);
  const auto slices = sweep_slices(read_report_runs(sources, {}, false), {"window.context_tokens", "lora.rank", ""});
  REQUIRE(slices.size() == 3);
  CHECK(slices[0].fixed == Keys{{"window.chunk_tokens", "100"}});
}

TEST_CASE("report: a run of an older version differs from a newer one in no key that came between them", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const char* name : {"old", "new", "other"}) {
    make_run(folder / name, {.seed = name == std::string("new") ? 7 : 42});
    Json record = Json::parse(read_file(folder / name / "run.json"));
    if (name != std::string("old")) {
      record["config"]["bm25"] = {{"passage_tokens", name == std::string("new") ? 0 : 16}, {"query_tokens", 64}};
      record["config"]["data"]["swap_names"] = false;
    }
    write_file_atomically(folder / name / "run.json", record.dump());
    sources.push_back({folder / name, name, {}});
  }
  const auto runs = read_report_runs(sources, {}, false);
  CHECK(differing_keys(runs, {0, 1}).empty());
  CHECK(differing_keys(runs, {0, 2}) == std::vector<std::string>{"bm25.passage_tokens"});
  CHECK(group_runs(runs, "perplexity").size() == 2);  // the first two are seeds of one setting
}

TEST_CASE("report: runs that are points of a sweep are called by them, in the sweep's order", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  int number = 0;
  for (const char* point : {"plain", "small", "big"})
    for (const std::int64_t chunk : {50, 100}) {
      MadeRun made;
      made.chunk_tokens = chunk;
      made.gain = 0.01 * ++number;
      made.config_hash = std::to_string(number);
      const fs::path path = folder / std::to_string(number);
      make_run(path, made);
      Json record = Json::parse(read_file(path / "run.json"));
      record["config"]["lora"]["rank"] = point == std::string("small") ? 4 : 8;
      record["config"]["lora"]["alpha"] = point == std::string("big") ? 99 : 7;
      write_file_atomically(path / "run.json", record.dump());
      sources.push_back({path, path.string(),
                         {{"point", Json(point).dump()}, {"window.chunk_tokens", std::to_string(chunk)}}});
    }
  std::reverse(sources.begin() + 2, sources.begin() + 4);  // however runs are found
  const auto runs = read_report_runs(sources, {}, false);
  std::vector<std::string> labels;
  for (const RunGroup& group : group_runs(runs, "perplexity")) labels.push_back(group.label);
  CHECK(labels == std::vector<std::string>{"plain, Δ 50", "plain, Δ 100", "small, Δ 50", "small, Δ 100", "big, Δ 50",
                                           "big, Δ 100"});
  const auto slices = sweep_slices(runs, {"point", "window.chunk_tokens", ""});
  REQUIRE(slices.size() == 1);
  CHECK(slices[0].rows == std::vector<std::string>{"plain", "small", "big"});
  CHECK(slices[0].columns == std::vector<std::string>{"50", "100"});
  const Report report = make_report(runs, {});
  bool in_table = false;
  for (const ReportTable& table : report.tables)
    for (const auto& row : table.rows)
      for (const Cell& cell : row) {
        CHECK_FALSE(has(cell.text, "alpha"));
        in_table |= cell.text == "small";
      }
  CHECK(in_table);
  // Beside a run of no sweep all settings are told.
  make_run(folder / "alone", {.gain = 0.5, .config_hash = "alone"});
  sources.push_back({folder / "alone", "alone", {}});
  const auto more = read_report_runs(sources, {}, false);
  CHECK(has(group_runs(more, "perplexity").front().label, "rank"));
}

TEST_CASE("report: a run that is the cell of several combinations stands at each of their places", "[unit]") {
  const TempFolder folder;
  for (const char* name : {"rebuild", "short", "long"}) {
    MadeRun made;
    made.gain = name == std::string("rebuild") ? 0.1 : name == std::string("short") ? 0.2 : 0.3;
    make_run(folder / name, made);
  }
  const auto source = [&](const char* name, const char* policy, const char* refill) {
    return RunSource{folder / name, name, {{"cache.policy", policy}, {"cache.refill_tokens", refill}}};
  };
  const auto runs = read_report_runs({source("rebuild", "\"rebuild\"", "64"), source("rebuild", "\"rebuild\"", "128"),
                                      source("rebuild", "\"rebuild\"", "128"), source("short", "\"refill\"", "64"),
                                      source("long", "\"refill\"", "128")},
                                     {}, false);
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].combinations.size() == 2);
  const auto slices = sweep_slices(runs, {"cache.policy", "cache.refill_tokens", ""});
  REQUIRE(slices.size() == 1);
  CHECK(slices[0].rows == std::vector<std::string>{"rebuild", "refill"});
  CHECK(slices[0].columns == std::vector<std::string>{"64", "128"});
  for (std::size_t column = 0; column < 2; ++column) {
    CHECK(slices[0].cells[0][column].value.has_value());
    CHECK(slices[0].cells[0][column].runs == std::vector<std::size_t>{0});
    CHECK(slices[0].cells[1][column].runs == std::vector<std::size_t>{column + 1});
  }
  CHECK(sweep_slices(runs, {"cache.policy", "W", ""}).size() == 2);  // one table for each number of refilled tokens
}

TEST_CASE("report: what changes no number is no setting, and seconds without the base's are not compared", "[unit]") {
  const TempFolder folder;
  for (const char* name : {"a", "b"}) make_run(folder / name, {});
  Json record = parse_json(read_file(folder / "b/run.json"), "run.json");
  record["config"]["score"]["base_scores"] = "/kept";
  record["config"]["cost"] = {{"device", "cpu"}, {"reference_window", 512}};
  write_file_atomically(folder / "b/run.json", record.dump());
  Json summary = summary_of(folder / "a");
  summary["cost"] = {{"seconds", 120.0}, {"flops", 1e9}};
  write_file_atomically(folder / "a/summary.json", summary.dump());
  const auto runs = read_report_runs({{folder / "a", "a", {}}, {folder / "b", "b", {}}}, {}, false);
  CHECK(runs[0].settings == runs[1].settings);
  CHECK(runs[0].measures.at("seconds") == Approx(0.1));  // of 1200 tokens
  CHECK(runs[1].base_taken_over);
  CHECK(!runs[1].measures.contains("seconds"));
}

TEST_CASE("report: a pretraining's steps are told by phase; older ones know their whole only", "[unit]") {
  const TempFolder folder;
  const Json record{{"config", {{"experiment", "pretrain"}}}, {"identity", {{"config_hash", "0123456789ab"}}}};
  const char* const steps[] = {
      R"({"step": 1, "tokens": 64, "loss": 5.5, "learning_rate": 0.5, "grad_norm": 1.5, "seconds": 3.0, )"
      R"("phase_seconds": {"gradient": 2.0, "optimizer": 1.0}})",
      R"({"step": 1, "tokens": 64, "loss": 5.5, "learning_rate": 0.5, "grad_norm": 1.5, "seconds": 3.0})"};
  for (std::size_t i = 0; i < 2; ++i) {
    const fs::path run = folder / std::to_string(i);
    fs::create_directories(run);
    write_file_atomically(run / "run.json", record.dump());
    write_file_atomically(run / "summary.json", "{}");
    write_file_atomically(run / "steps.jsonl", std::string(steps[i]) + "\n");
  }
  const auto runs = read_report_runs({{folder / "0", "new", {}}, {folder / "1", "old", {}}}, {}, false);
  CHECK(runs[0].seconds == std::map<std::string, double>{{"gradient", 2.0}, {"optimizer", 1.0}});
  CHECK(runs[1].seconds == std::map<std::string, double>{{"step", 3.0}});
  CHECK(runs[0].measures.at("seconds") == runs[1].measures.at("seconds"));
  const auto lines = lines_of(chunks_csv(runs));
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].ends_with(",seconds_gradient,seconds_optimizer,seconds_step"));
  CHECK(lines[1].ends_with(",5.5,1.5,2.0,1.0,"));
  CHECK(lines[2].ends_with(",5.5,1.5,,,3.0"));
}

TEST_CASE("report: axes and values that are not there are refused with the nearest", "[unit]") {
  const TempFolder folder;
  const auto runs = read_report_runs(grid(folder), {}, false);
  const auto message = [&](const ReportOptions& options) {
    return refusal([&] { sweep_slices(runs, options); }, Exit::usage);
  };
  CHECK(has(message({"window.chunk_tokns", "", ""}), "the nearest is window.chunk_tokens"));
  CHECK(has(message({"", "", "chnge"}), "the nearest is change"));
  CHECK(has(message({"W", "W", ""}), "wanted another key"));
}

TEST_CASE("report: a folder that is no run, and damaged records, are errors of one line", "[unit]") {
  const TempFolder folder;
  CHECK_THROWS_WITH(read_report_run({folder.path(), "x", {}}, {}, false),
                    Catch::Matchers::Contains("no run.json in it"));
  make_run(folder / "a", {});
  write_file_atomically(folder / "a/nll/0-lora.f32", "12345678");
  CHECK_THROWS_AS(read_report_run({folder / "a", "a", {}}, {}, false), Error);
}

TEST_CASE("report: text from outside is escaped in every format", "[unit]") {
  CHECK(latex_escaped("50% of a_b & \\x{1} ~^ <Δ>") ==
        "50\\% of a\\_b \\& \\textbackslash{}x\\{1\\} \\textasciitilde{}\\textasciicircum{} "
        "\\ensuremath{<}$\\Delta$\\ensuremath{>}");
  CHECK(latex_escaped("[\"q_proj\"]") == "{[}\"q\\_proj\"]");
  CHECK(csv_field("a,\"b\"") == "\"a,\"\"b\"\"\"");
  CHECK(csv_field("=1+2") == "'=1+2");
  CHECK(csv_field("@SUM(A1,B1)") == "\"'@SUM(A1,B1)\"");
  CHECK(csv_field("+book") == "'+book");
  CHECK(csv_field("-0.5") == "-0.5");
  CHECK(csv_field("a\nb\x1b[2J") == "a?b?[2J");
  CHECK(latex_escaped("*a") == "{*}a");
  CHECK(escaped("# a") == "\\# a");
  CHECK(escaped("![x](http://y)") == "![x\\](http://y)");
  CHECK(escaped("1.5 [1, 2]") == "1.5 [1, 2]");
  CHECK(escaped(std::string(250, 'a'), kLongText).size() == 250);
  CHECK(xml_escaped("a\x1b\xc2\x9b<\n\xe2\x80\xae") == "a??&lt;\n?");
  const TempFolder folder;
  make_run(folder / "a", {});
  const Report report = make_report(read_report_runs({{folder / "a", "a_&b", {}}}, {}, false), {});
  CHECK(has(report_latex(report), "model small \\& \\ensuremath{<}fine\\ensuremath{>} $\\cdot$ $\\Delta$ 50"));
  CHECK(has(report_latex(report), "\n0-200 & 398 & "));
  CHECK(has(report_latex(report), "\\toprule"));
  CHECK(has(report_markdown(report), "small & \\<fine>"));
}

TEST_CASE("report: the CSV of chunks has a line a chunk with all its numbers, and fields in every line", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  const auto lines = lines_of(chunks_csv(read_report_runs({{folder / "a", "a", {}}}, {}, false)));
  REQUIRE(lines.size() == 25);
  const auto commas = std::count(lines[0].begin(), lines[0].end(), ',');
  for (const std::string& line : lines) CHECK(std::count(line.begin(), line.end(), ',') == commas);
  CHECK(lines[1].starts_with("a,0123456789ab,perplexity,book_0.txt,0,0,0,50,49,"));
  CHECK(lines[1].ends_with(",3.375,0.625,0.25,0.5"));

  MadeRun half;
  half.finished = false;
  make_run(folder / "b", half);
  const std::vector<RunSource> both{{folder / "a", "a", {}}, {folder / "b", "b", {}}};
  CHECK(lines_of(chunks_csv(read_report_runs(both, {}, false))).size() ==
        25);  // an unfinished run counts where it is asked for
  CHECK(lines_of(chunks_csv(read_report_runs(both, {}, true))).size() == 49);
}

TEST_CASE("report: runs whose inputs differ are no seeds of one setting", "[unit]") {
  // What differs, and what the tables call it.
  const std::pair<const char*, const char*> inputs[] = {{"control_text_0_hash", "control texts"},
                                                        {"model_config_hash", "model config"},
                                                        {"init_from_hash", "adapter"}};
  for (const auto& [hash, name] : inputs) {
    INFO(hash);
    const TempFolder folder;
    for (const char* run : {"a", "b", "c"}) make_run(folder / run, {});
    change_record(folder / "c", [&, &hash = hash](Json& record) { record["identity"][hash] = "another"; });
    const auto runs =
        read_report_runs({{folder / "a", "a", {}}, {folder / "b", "b", {}}, {folder / "c", "c", {}}}, {}, false);
    CHECK(group_runs(runs, "perplexity").size() == 2);
    CHECK(differing_keys(runs, {0, 1, 2}) == std::vector<std::string>{name});
  }
}

TEST_CASE("report: keys that an experiment does not use, and texts of controls that a run has not, are no settings",
          "[unit]") {
  const TempFolder folder;
  for (const char* run : {"a", "b"}) make_run(folder / run, {});
  change_record(folder / "b", [](Json& record) {
    record["config"]["pretrain"]["layers"] = 2;
    record["config"]["data"]["control_books"] = {"/elsewhere"};
    record["config"]["run"]["threads"] = 7;
  });
  const auto runs = read_report_runs({{folder / "a", "a", {}}, {folder / "b", "b", {}}}, {}, false);
  CHECK(runs[0].settings == runs[1].settings);
  CHECK(group_runs(runs, "perplexity").size() == 1);
}

TEST_CASE("report: a model and an adapter are what was read of them, and their paths where that is not known",
          "[unit]") {
  const TempFolder folder;
  const auto groups = [&] {
    return group_runs(read_report_runs({{folder / "a", "a", {}}, {folder / "b", "b", {}}}, {}, false), "perplexity")
        .size();
  };
  for (const char* run : {"a", "b"}) {
    make_run(folder / run, {});
    change_record(folder / run, [&](Json& record) {
      record["config"]["model"]["path"] = std::string("/models/") + run;
      record["config"]["lora"]["init_from"] = std::string("/adapters/") + run;
      record["identity"]["init_from_hash"] = "the same";
    });
  }
  CHECK(groups() == 1);
  for (const char* hash : {"init_from_hash", "weights_hash"}) {
    const std::string a = read_file(folder / "a/run.json"), b = read_file(folder / "b/run.json");
    for (const char* run : {"a", "b"})
      change_record(folder / run, [&](Json& record) { record["identity"].erase(hash); });
    INFO(hash);
    CHECK(groups() == 2);
    write_file_atomically(folder / "a/run.json", a);
    write_file_atomically(folder / "b/run.json", b);
  }
}

TEST_CASE("report: runs of two sweeps that differ in more than the swept keys stand in tables of their own", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const char* sweep : {"x", "y"})
    for (const std::int64_t chunk : {50, 100}) {
      MadeRun made;
      made.chunk_tokens = chunk;
      const std::string name = sweep + std::to_string(chunk);
      make_run(folder / name, made);
      if (*sweep == 'y') change_record(folder / name, [](Json& record) { record["config"]["lora"]["rank"] = 8; });
      sources.push_back({folder / name, name, {{"window.chunk_tokens", std::to_string(chunk)}}});
    }
  const auto slices = sweep_slices(read_report_runs(sources, {}, false), {});
  for (const SweepSlice& slice : slices)
    for (const auto& row : slice.cells)
      for (const Cell& cell : row) CHECK(cell.runs.size() <= 1);
}
