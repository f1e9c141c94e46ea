#include "report/report_formats.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "catch.h"
#include "made_runs.h"
#include "report/page.h"
#include "run/token_ids.h"
#include "text_parts.h"

using namespace templora;
using namespace templora_test;

TEST_CASE("report: the tidy CSV has one line for each run, book, segment and measure, swept keys as columns",
          "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100}) {
    MadeRun made;
    made.chunk_tokens = chunk;
    made.chunks = 600 / chunk;
    make_run(folder / std::to_string(chunk), made);
    sources.push_back({folder / std::to_string(chunk), std::to_string(chunk),
                       {{"window.chunk_tokens", std::to_string(chunk)}, {"train.optimizer", "\"adamw\""}}});
  }
  sources.push_back(sources.back());
  sources.back().values["train.optimizer"] = "\"sgd\"";  // another combination that comes to the same run
  const auto runs = read_report_runs(sources, {}, false);
  REQUIRE(runs.size() == 2);
  const auto lines = lines_of(tidy_csv(runs));
  CHECK(lines[0] ==
        "run,config_hash,experiment,model,train.optimizer,window.chunk_tokens,W,seed,book,book_index,segment,measure,"
        "value,low,high,method,over,tokens");
  std::set<std::string> places;
  for (const std::string& line : lines) {
    CHECK(std::count(line.begin(), line.end(), ',') == 17);
    std::size_t end = 0;
    for (int field = 0; field < 12; ++field) end = line.find(',', end) + 1;
    CHECK(places.insert(line.substr(0, end)).second);
  }
  const auto count = [&](const std::string& part) {
    return std::count_if(lines.begin(), lines.end(), [&](const std::string& line) { return has(line, part); });
  };
  CHECK(count("adamw,100,200,42,") == count("sgd,100,200,42,"));
  CHECK(count(",lora_ppl,") == 3 * 3 * 4);  // places, books with all of them, segments with all of them
  const Json rows = summary_of(folder / "50").at("all"), book = summary_of(folder / "50").at("books")[1].at("segments");
  CHECK(count(fmt::format("adamw,50,100,42,all,,200-400,lora_ppl,{},,,,,400",
                          rows[1].at("lora").at("corpus").get<double>())) == 1);
  CHECK(count(fmt::format(",42,book_1.txt,1,0-200,change_percent,{},",
                          book[0].at("change_corpus_percent").get<double>())) == 1);
  CHECK(count("all,,all,seconds_per_1k_tokens_train,10,,,,,1200") == 1);
  CHECK(count("nan") == 0);
}

TEST_CASE("report: a line a token, with its id, text and NLLs, of runs that kept the ids", "[unit]") {
  const TempFolder folder;
  make_run(folder / "a", {});
  const auto runs = read_report_runs({{folder / "a", "a", {}}}, {}, false);
  const auto texts = [](const RunSummary&) {
    return [](std::int32_t id) { return id == 7 ? std::string(" \"the,") : std::string(); };
  };
  CHECK_THROWS_WITH(tokens_csv(runs, texts), Catch::Matchers::Contains("wanted score.keep_tokens true"));
  for (const std::int64_t book : {0, 1}) write_token_ids(folder / "a", book, std::vector<std::int32_t>(599, 7));
  const auto lines = lines_of(tokens_csv(runs, texts));
  REQUIRE(lines.size() == 1 + 2 * 599);
  CHECK(lines[0] == "run,config_hash,seed,book,book_index,position,token,text,base_nll,lora_nll");
  const auto nll = read_run(folder / "a").nll;
  CHECK(lines[1] == fmt::format("a,0123456789ab,42,book_0.txt,0,1,7,\" \"\"the,\",{},{}", nll.at(0).at(Arm::base)[0],
                                nll.at(0).at(Arm::lora)[0]));
  CHECK(has(lines.back(), "book_1.txt,1,599,7,"));
  write_token_ids(folder / "a", 1, {1, 2});
  CHECK_THROWS_WITH(tokens_csv(runs, texts), Catch::Matchers::Contains("1-tokens.i32: got 2 ids"));
}

TEST_CASE("report: what all rows have in common stands once above a table, and dashes nowhere", "[unit]") {
  ReportTable table{"t", "T", "", {}, {Column::setting("model", "model"), Column::setting("Δ", "chunk_tokens"),
                                       Column::setting("settings", "settings"), Column::remark("books"),
                                       Column::of("PPL", "ppl", "{:.1f}")}, {}};
  for (const char* chunk : {"50", "100"})
    table.rows.push_back({Cell::of("m"), Cell::of(chunk), Cell::of(""), Cell::of("8"), Cell::of(std::optional(2.0))});
  const Presented shape = presented(table);
  CHECK(shape.columns == std::vector<std::size_t>{1, 4});  // equal numbers are measured, and stay
  CHECK(above_text(shape) == "model m · books 8");
  table.rows.pop_back();
  CHECK(presented(table).columns == std::vector<std::size_t>{4});
  table.columns.pop_back();
  table.rows[0].pop_back();
  CHECK(presented(table).columns.size() == 4);  // a table keeps a column at least
}

TEST_CASE("report: intervals say of what they are, in every format", "[unit]") {
  const TempFolder folder;
  MadeRun made;
  made.books = 8;
  make_run(folder / "a", made);
  const auto runs = read_report_runs({{folder / "a", "a", {}}}, {}, false);
  const Report report = make_report(runs, {});
  CHECK(has(report_markdown(report), "| mean change over books % [95 % over books] |"));
  CHECK(has(report_page(report), ">mean change over books % [95 % over books]</th>"));
  const std::string latex = report_latex(report);
  CHECK(has(latex, "mean change"));
  CHECK(has(latex, "over books]"));
  CHECK(has(report_json(report).dump(), "\"interval\":\"95 % over books\""));
  CHECK(has(cells_csv(report), "bootstrap-t,books,"));
  CHECK(has(tidy_csv(runs), ",bootstrap-t,books,"));
  for (const Figure& figure : report.figures)
    if (!attributes(figure.svg, "data-low").empty()) CHECK(has(figure.svg, "95 % interval over books"));
}

TEST_CASE("report: LaTeX tables are no wider than a column: more columns than fit stand in panels", "[unit]") {
  ReportTable table{"t", "T", "", {}, {Column::setting("model", "model")}, {}};
  std::vector<Cell> row{Cell::of("a model whose name is long enough to be broken into lines")};
  for (int c = 0; c < 12; ++c) {
    table.columns.push_back(Column::mean_over("books", fmt::format("measure {}", c), fmt::format("m{}", c), "{:+.2f}"));
    row.push_back(Cell::of(std::optional(-1.25)));
    row.back().low = -2.5, row.back().high = 0.5;
  }
  table.rows = {row, row};
  table.rows[1][0].text = "another";
  Report report;
  report.tables = {table};
  const std::string latex = report_latex(report);
  CHECK(!has(latex, "resizebox"));
  const auto count = [&](const std::string& part) {
    int found = 0;
    for (std::size_t at = latex.find(part); at != std::string::npos; at = latex.find(part, at + 1)) ++found;
    return found;
  };
  CHECK(count("\\toprule") > 1);
  CHECK(count("\\toprule") == count("\nanother & "));  // each panel says whose numbers these are
  CHECK(count("$[-2.50,\\,+0.50]$") == 24);
  CHECK(count("\\begin{table}") == count("(continued)") + 1);  // what is longer than a page stands in several floats
  CHECK(count("\\label{tab:t}") == 1);
}

TEST_CASE("report: the answer is the best setting's change, with its interval over books", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100}) {
    MadeRun made;
    made.books = 8;
    made.chunk_tokens = chunk;
    made.chunks = 600 / chunk;
    made.gain = 0.001 * static_cast<double>(chunk);
    const std::string name = std::to_string(chunk);
    make_run(folder / name, made);
    sources.push_back({folder / name, name, {}});
  }
  const Report report = make_report(read_report_runs(sources, {}, false), {});
  const Json all = summary_of(folder / "100").at("all").back(), &mean = all.at("over_books").at("lora");
  REQUIRE(report.answers.size() == 1);
  CHECK(has(report.answers[0],
            fmt::format("Temp-LoRA changes perplexity by {:+.2f} %", all.at("change_corpus_percent").get<double>())));
  CHECK(has(report.answers[0], "At Δ 100, the best of 2 settings, Temp-LoRA"));
  CHECK(has(report.answers[0], "over 4,792 tokens of 8 books; mean over books "));
  CHECK(has(report.answers[0], "on these same texts, which flatters it: with all 2 counted, by the largest |t|"));
  CHECK(has(report.answers[0], fmt::format("]; the other setting has {:+.2f} %.",
                                           *report.runs[0].table->all.back().change_corpus_percent)));
  CHECK(has(report.answers[0], fmt::format("[{:+.2f}, {:+.2f}], 95 % over books. It", mean.at("low").get<double>(),
                                           mean.at("high").get<double>())));
  CHECK(has(report.subject, "small & <fine>"));
  CHECK(make_report({}, {}).answers.empty());
}

TEST_CASE("report: the answer says on how little it stands, and names no best among different texts", "[unit]") {
  const TempFolder folder;
  const auto answer = [&](const std::vector<std::string>& names) {
    std::vector<RunSource> sources;
    for (const std::string& name : names) sources.push_back({folder / name, name, {}});
    return make_report(read_report_runs(sources, {}, false), {}).answers.at(0);
  };
  for (const std::int64_t books : {1, 4}) make_run(folder / std::to_string(books), {.books = books});
  CHECK(has(answer({"1"}), "over 599 tokens of one book: no interval, and no word on other books."));
  CHECK_FALSE(has(answer({"1"}), "best"));
  CHECK(has(answer({"4"}), "over 2,396 tokens of 4 books, too few for an interval (from 6 on)."));
  for (const int gain : {1, 2, 3})
    make_run(folder / ("g" + std::to_string(gain)),
             {.chunk_tokens = 10 * gain, .books = 1, .gain = 0.1 * gain, .config_hash = std::to_string(gain)});
  const auto change = [&](const std::string& name) {
    return summary_of(folder / name).at("all").back().at("change_corpus_percent").get<double>();
  };
  CHECK(has(answer({"g1", "g3", "g2"}),
            fmt::format("the middle one of the 3 settings has {:+.2f} %, the worst {:+.2f} %.", change("g2"),
                        change("g1"))));
  change_record(folder / "g3", [](Json& record) { record["identity"]["text_0_hash"] = "b"; });
  CHECK(answer({"g1", "g3", "g2"}) ==
        fmt::format("Temp-LoRA changes perplexity by {:+.2f} to {:+.2f} %, the middle one {:+.2f} %, of 3 settings "
                    "that have read different texts, so that none is the best.",
                    change("g3"), change("g1"), change("g2")));
}

TEST_CASE("report: what one run computed for others is no cost of a setting", "[unit]") {
  const TempFolder folder;
  std::vector<RunSource> sources;
  for (const std::int64_t chunk : {50, 100}) {
    MadeRun made;
    made.chunk_tokens = chunk;
    const std::string name = std::to_string(chunk);
    make_run(folder / name, made);
    change_record(folder / name, [](Json& record) { record["config"]["score"]["base_scores"] = "/kept"; });
    sources.push_back({folder / name, name, {}});
  }
  std::string chunks = read_file(folder / "50/chunks.jsonl");  // which scored the base for both
  for (std::size_t at = 0; (at = chunks.find("\"seconds\":{", at)) != std::string::npos; at += 11)
    chunks.insert(at + 11, "\"score_base\":9.5,");
  write_file_atomically(folder / "50/chunks.jsonl", chunks);
  const Report report = make_report(read_report_runs(sources, {}, false), {});
  for (const Figure& figure : report.figures) {
    if (figure.id != "phases_perplexity") continue;
    const std::vector<std::string> parts = attributes(figure.svg, "data-part");
    CHECK(parts.size() == 4);
    CHECK(std::count(parts.begin(), parts.end(), "score_base") == 0);
    CHECK(has(figure.svg, "Without scoring the base model"));
  }
  for (const ReportTable& table : report.tables) {
    if (table.id != "cost_perplexity") continue;
    REQUIRE(table.rows.size() == 2);
    for (std::size_t c = 0; c < table.columns.size(); ++c) {
      CHECK(table.columns[c].head != "score_base");
      if (table.columns[c].name != "seconds_per_1k_tokens") continue;
      CHECK(*table.rows[0][c].value == Approx(1000 * 0.75 / 50));  // 0.25 and 0.5 s a chunk
      CHECK(*table.rows[1][c].value == Approx(1000 * 0.75 / 100));
    }
  }
}
