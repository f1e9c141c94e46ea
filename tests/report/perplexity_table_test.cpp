#include "report/perplexity_table.h"

#include <sstream>

#include "catch.h"
#include "run/run_data.h"

using namespace templora;

namespace {

RunData made_run(const char* fidelity = "corrected") {
  RunData run;
  run.run = {{"config",
              {{"fidelity", fidelity},
               {"model", {{"path", "/somewhere/Llama_2"}}},
               {"score", {{"segment_edges", {0, 1000, 9000}}}},
               {"window", {{"chunk_tokens", 600}, {"context_tokens", 100}}},
               {"lora", {{"rank", 16}}},
               {"train", {{"prefix_tokens", 300}, {"learning_rate", 5e-5}, {"epochs", 2}}}}}};
  for (std::int64_t book = 0; book < 2; ++book) {
    BookRecord record;
    record.book = book == 0 ? "a|b.txt" : "short.txt";
    record.book_index = book;
    for (std::int64_t c = 0; c < (book == 0 ? 4 : 1); ++c) {
      ChunkRecord chunk;
      chunk.book_index = book;
      chunk.chunk = c;
      chunk.first_token = c * 600;
      chunk.tokens = 600;
      chunk.scored_tokens = c == 0 ? 599 : 600;
      for (std::int64_t t = 0; t < chunk.scored_tokens; ++t) {
        run.nll[book][Arm::base].push_back(3.0f + 0.001f * static_cast<float>((t * 37 + book) % 101));
        run.nll[book][Arm::lora].push_back(2.9f - 0.03f * static_cast<float>(c));
      }
      record.tokens += 600;
      run.chunks.push_back(chunk);
    }
    run.books.push_back(record);
  }
  return run;
}

std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> out;
  std::istringstream stream(line);
  std::string part;
  while (std::getline(stream, part, '|')) {
    const std::size_t from = part.find_first_not_of(' '), to = part.find_last_not_of(' ');
    if (from != std::string::npos) out.push_back(part.substr(from, to - from + 1));
  }
  return out;
}

/// The first table line that starts with this cell.
std::vector<std::string> line_of(const std::string& markdown, const std::string& first) {
  std::istringstream stream(markdown);
  for (std::string line; std::getline(stream, line);)
    if (line.rfind("| " + first + " |", 0) == 0) return cells(line);
  FAIL("no line " << first);
  return {};
}

/// Half a unit of the last printed digit.
void check_number(const std::string& cell, const Json& value, double tolerance) {
  INFO(cell << " beside " << value.dump());
  CHECK(std::abs(std::stod(cell) - value.get<double>()) <= tolerance);
}

}  // namespace

TEST_CASE("perplexity_markdown: the table's numbers are those of the summary", "[unit]") {
  const RunData run = made_run();
  const PerplexityTable table = perplexity_table(run);
  const Json summary = to_json(table);
  const std::string markdown = perplexity_markdown(table, run.run);
  int compared = 0;
  for (const Json& row : summary.at("all")) {
    if (row.at("base").is_null()) continue;  // a segment that no book reaches has no line
    const auto line = line_of(markdown, row.at("label"));
    REQUIRE(line.size() == 10);
    const int books = row.at("books");
    CHECK(line[1] == std::to_string(books) + " †");  // all are fewer than three
    check_number(line[3], row.at("base").at("corpus"), 0.00051);
    check_number(line[4], row.at("lora").at("corpus"), 0.00051);
    check_number(line[5], row.at("change_corpus_percent"), 0.0051);
    check_number(line[6], row.at("base").at("chunk_mean"), 0.00051);
    check_number(line[7], row.at("lora").at("chunk_mean"), 0.00051);
    check_number(line[8], row.at("change_chunk_mean_percent"), 0.0051);
    if (!row.at("first_segment_change_percent").is_null())
      check_number(line[9], row.at("first_segment_change_percent"), 0.0051);
    ++compared;
  }
  CHECK(compared == 3);
  CHECK(line_of(markdown, "0-1K")[2] == "1,598");
  CHECK(summary.at("all").size() == 4);
  CHECK(markdown.find("9K+") == std::string::npos);
  // Tables of before had a line for it.
  const PerplexityTable older = perplexity_table(run, kVersionWithoutEmptySegments - 1);
  CHECK(line_of(perplexity_markdown(older, run.run), "9K+")[2] == "0");
  CHECK(line_of(markdown, "0-1K")[5][0] == '-');
}

TEST_CASE("perplexity_markdown: measures of whole texts and intervals within a book have tables of their own",
          "[unit]") {
  RunData run = made_run();
  for (BookRecord& book : run.books) book.words = book.tokens / 2, book.text_bytes = book.tokens * 4;
  const PerplexityTable table = perplexity_table(run);
  const std::string text = perplexity_markdown(table, run.run);
  const std::string measures = text.substr(text.find("## Measures of the whole texts"));
  const Json lora = to_json(table).at("all").back().at("lora");
  const auto line = line_of(measures, "Temp-LoRA");
  REQUIRE(line.size() == 6);
  check_number(line[3], lora.at("book_mean"), 0.00051);
  check_number(line[4], lora.at("word_level"), 0.00051);
  check_number(line[5], lora.at("bits_per_byte"), 0.000051);
  CHECK(text.find("† fewer than 3 books") != std::string::npos);
  CHECK(text.find("## Within each book") == std::string::npos);  // four chunks are too few

  for (std::int64_t c = 4; c < 80; ++c) {
    ChunkRecord chunk = run.chunks[3];
    chunk.chunk = c;
    chunk.first_token = c * 600;
    run.chunks.push_back(chunk);
    run.books[0].tokens += 600;
    for (int t = 0; t < 600; ++t) {
      run.nll[0][Arm::base].push_back(3.0f);
      run.nll[0][Arm::lora].push_back(2.5f + 0.01f * static_cast<float>(c % 7));
    }
  }
  const std::string longer = perplexity_markdown(perplexity_table(run), run.run);
  const std::string within = longer.substr(longer.find("## Within each book"));
  CHECK(line_of(within, "a\\|b.txt").size() == 5 + 1);  // the bar in the name splits its cell
  CHECK(within.find("| all | 80 | 16 |") != std::string::npos);
}

TEST_CASE("perplexity_markdown: settings, books and texts without a possible gain are named", "[unit]") {
  const RunData run = made_run("official");
  const std::string markdown = perplexity_markdown(perplexity_table(run), run.run);
  for (const char* part : {"Model Llama\\_2 · Δ 600 · L_X 100 · L_T 300 · rank 16 · learning rate 5e-05", "a\\|b.txt",
                           "- short.txt", "As the released code prints it: base"}) {
    INFO(part << "\n" << markdown);
    CHECK(markdown.find(part) != std::string::npos);
  }
  CHECK(markdown.find("- a\\|b.txt") == std::string::npos);
  const RunData corrected = made_run();
  CHECK(perplexity_markdown(perplexity_table(corrected), corrected.run).find("released code prints") ==
        std::string::npos);
}

TEST_CASE("perplexity_markdown: a record without settings still gives a table", "[unit]") {
  const RunData run = made_run();
  CHECK(perplexity_markdown(perplexity_table(run), Json::object()).find("Δ –") != std::string::npos);
  CHECK(perplexity_markdown(PerplexityTable{}, nullptr).find("| segment |") != std::string::npos);
}

TEST_CASE("perplexity_markdown: controls and means over books have tables of their own, with the summary's numbers",
          "[unit]") {
  RunData run = made_run();
  for (std::int64_t book = 0; book < 2; ++book)
    for (const float nll : run.nll[book][Arm::base]) run.nll[book][Arm::other_book].push_back(nll + 0.01f);
  const PerplexityTable table = perplexity_table(run);
  const std::string text = perplexity_markdown(table, run.run);
  const std::string controls = text.substr(text.find("## Controls"));
  CHECK(controls.find("| other_book PPL | other_book change % |") != std::string::npos);
  CHECK(controls.find("mixed_books") == std::string::npos);
  const auto all = line_of(controls, "all");
  REQUIRE(all.size() == 5);
  CHECK(all[4] == "+1.01");  // 100 (e^0.01 - 1)
  const std::string over_books = text.substr(text.find("## Mean over books"));
  CHECK(line_of(over_books, "all").back() == "+1.01");  // two books: no interval
  CHECK(to_json(table).at("all").back().at("over_books").at("other_book").at("books") == 2);
  CHECK(perplexity_markdown(perplexity_table(made_run()), run.run).find("## Controls") == std::string::npos);
}
