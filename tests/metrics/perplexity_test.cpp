#include "metrics/perplexity.h"

#include <cmath>

#include "catch.h"
#include "run/run_data.h"

using namespace templora;

namespace {

/// A run made by hand: `nll(book, position)` for base, plus `shift(position)` for lora.
struct Made {
  RunData run;

  explicit Made(std::vector<std::int64_t> edges, const char* fidelity = "corrected", std::int64_t chunk_tokens = 4,
                std::int64_t context_tokens = 4) {
    run.run = {{"config",
                {{"fidelity", fidelity},
                 {"score", {{"segment_edges", edges}}},
                 {"window", {{"chunk_tokens", chunk_tokens}, {"context_tokens", context_tokens}}}}}};
  }

  static double base(std::int64_t book, std::int64_t t) { return 2.0 + 0.5 * static_cast<double>((t * 7 + book) % 5); }
  static double lora(std::int64_t book, std::int64_t t) {
    return base(book, t) - 0.01 * static_cast<double>(t * (1 + book));
  }

  void book(std::int64_t index, const std::vector<std::int64_t>& chunk_sizes) {
    BookRecord record;
    record.book = std::to_string(index) + ".txt";
    record.book_index = index;
    std::int64_t first = 0, number = 0;
    for (const std::int64_t size : chunk_sizes) {
      ChunkRecord chunk;
      chunk.book = record.book;
      chunk.book_index = index;
      chunk.chunk = number++;
      chunk.first_token = first;
      chunk.tokens = size;
      chunk.scored_tokens = first == 0 ? size - 1 : size;
      for (std::int64_t t = first + size - chunk.scored_tokens; t < first + size; ++t) {
        run.nll[index][Arm::base].push_back(static_cast<float>(base(index, t)));
        run.nll[index][Arm::lora].push_back(static_cast<float>(lora(index, t)));
      }
      chunk.base_nll = chunk.lora_nll = 1;  // not what tables are made of
      run.chunks.push_back(chunk);
      first += size;
    }
    record.tokens = first;
    run.books.push_back(record);
  }

  /// exp of the mean over positions [from, to) by definition.
  template <class Nll>
  static double ppl(Nll&& nll, std::int64_t book, std::int64_t from, std::int64_t to) {
    double sum = 0;
    for (std::int64_t t = from; t < to; ++t) sum += nll(book, t);
    return std::exp(sum / static_cast<double>(to - from));
  }
};

}  // namespace

TEST_CASE("Perplexity: tokens, not chunks, are assigned to segments", "[unit]") {
  Made made({0, 10});
  made.book(0, {4, 4, 4, 3});  // the third chunk, 8..12, lies across the edge
  const PerplexityTable table = perplexity_table(made.run);
  REQUIRE(table.all.size() == 3);
  CHECK(table.all[0].label == "0-10");
  CHECK(table.all[1].label == "10+");
  CHECK(table.all[2].label == "all");
  CHECK(table.all[0].tokens == 9);  // position 0 has no prediction
  CHECK(table.all[1].tokens == 5);
  CHECK(table.all[2].tokens == 14);
  CHECK(*table.all[0].base->corpus == Approx(Made::ppl(Made::base, 0, 1, 10)));
  CHECK(*table.all[1].base->corpus == Approx(Made::ppl(Made::base, 0, 10, 15)));
  CHECK(*table.all[1].lora->corpus == Approx(Made::ppl(Made::lora, 0, 10, 15)).epsilon(1e-6));
  CHECK(*table.all[2].base->corpus == Approx(Made::ppl(Made::base, 0, 1, 15)));
  const double parts =
      3 * Made::ppl(Made::base, 0, 1, 4) + 4 * Made::ppl(Made::base, 0, 4, 8) + 2 * Made::ppl(Made::base, 0, 8, 10);
  CHECK(*table.all[0].base->chunk_mean == Approx(parts / 9));
  const double whole = 3 * Made::ppl(Made::base, 0, 1, 4) + 4 * Made::ppl(Made::base, 0, 4, 8) +
                       4 * Made::ppl(Made::base, 0, 8, 12) + 3 * Made::ppl(Made::base, 0, 12, 15);
  CHECK(*table.all[2].base->chunk_mean == Approx(whole / 14));
  CHECK(*table.all[2].base->chunk_mean > *table.all[2].base->corpus);
  CHECK(*table.all[1].change_corpus_percent ==
        Approx(100 * (*table.all[1].lora->corpus / *table.all[1].base->corpus - 1)));
  CHECK(*table.all[1].change_chunk_mean_percent ==
        Approx(100 * (*table.all[1].lora->chunk_mean / *table.all[1].base->chunk_mean - 1)));
}

TEST_CASE("Perplexity: beside a segment stands the first segment's change of the books that reach it", "[unit]") {
  Made made({0, 8, 16});
  made.book(0, {4, 4, 4, 4, 4});
  made.book(1, {4, 4, 2});
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(table.all[0].books == 2);
  CHECK(table.all[1].books == 2);
  CHECK(table.all[2].books == 1);
  CHECK(*table.all[0].first_segment_change_percent == Approx(*table.all[0].change_corpus_percent));
  CHECK(*table.all[1].first_segment_change_percent == Approx(*table.all[0].change_corpus_percent));
  CHECK(*table.all[2].first_segment_change_percent == Approx(*table.books[0].second[0].change_corpus_percent));
  CHECK(*table.all[2].first_segment_change_percent != Approx(*table.all[0].change_corpus_percent).epsilon(1e-6));
  CHECK(!table.all[3].first_segment_change_percent);
  CHECK(!table.books[1].second[2].first_segment_change_percent);
}

TEST_CASE("Perplexity: all books together are weighted by tokens", "[unit]") {
  Made made({0});
  made.book(0, {4, 4, 4});
  made.book(3, {4, 1});
  const PerplexityTable table = perplexity_table(made.run);
  const double sum = 11 * std::log(Made::ppl(Made::base, 0, 1, 12)) + 4 * std::log(Made::ppl(Made::base, 3, 1, 5));
  CHECK(*table.all[1].base->corpus == Approx(std::exp(sum / 15)));
  REQUIRE(table.books.size() == 2);
  CHECK(table.books[1].first == "3.txt");
  CHECK(table.books[1].second[1].tokens == 4);
}

TEST_CASE("Perplexity: an empty segment has no numbers and nothing is divided by zero", "[unit]") {
  Made made({0, 100, 200});
  made.book(0, {4, 4});
  made.book(1, {1});  // one token: nothing can be scored
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(table.all[1].tokens == 0);
  CHECK(table.all[1].books == 0);
  CHECK(!table.all[1].base);
  CHECK(!table.all[1].change_corpus_percent);
  CHECK(!table.all[1].first_segment_change_percent);
  CHECK(!table.books[1].second.back().base);
  CHECK_NOTHROW(dump_json(to_json(table), "table"));
}

TEST_CASE("Perplexity: without the base there is no change, and the table stands", "[unit]") {
  Made made({0});
  made.book(0, {4, 4});
  made.run.nll[0].erase(Arm::base);
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(!table.all[0].base);
  CHECK(table.all[0].lora);
  CHECK(table.all[0].tokens == 7);
  CHECK(!table.all[0].change_corpus_percent);
}

TEST_CASE("Perplexity: books that fit into one window are named and stay in the table", "[unit]") {
  Made made({0});
  made.book(0, {4, 4});
  made.book(1, {4, 4, 1});
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(table.no_gain_possible == std::vector<std::string>{"0.txt"});
  CHECK(table.all[0].books == 2);
}

TEST_CASE("Perplexity: words and bytes of whole books, and books that count alike", "[unit]") {
  Made made({0, 8});
  made.book(0, {4, 4, 4});
  made.book(1, {4, 2});
  for (BookRecord& book : made.run.books) book.words = 5 - book.book_index, book.text_bytes = 30;
  const PerplexityTable table = perplexity_table(made.run);
  const double first = 11 * std::log(Made::ppl(Made::base, 0, 1, 12)),
               second = 5 * std::log(Made::ppl(Made::base, 1, 1, 6));
  const Perplexity& all = *table.all.back().base;
  CHECK(*all.book_mean == Approx((std::exp(first / 11) + std::exp(second / 5)) / 2));
  CHECK(*all.word_level == Approx(std::exp((first + second) / 9)));
  CHECK(*all.bits_per_byte == Approx((first + second) / std::log(2.0) / 60));
  CHECK(*table.books[1].second.back().base->word_level == Approx(std::exp(second / 4)));
  CHECK(!table.all[0].base->word_level);  // words of a segment are not known
  CHECK(to_json(table).at("all").back().at("few_books") == true);
  made.run.books[1].tokens += 1;  // a book that was not read to its end
  CHECK(!perplexity_table(made.run).all.back().base->word_level);
}

TEST_CASE("Perplexity: tokens that no chunk scored count as the others' mean in word level and bits per byte",
          "[unit]") {
  Made made({0});
  made.book(0, {4, 4, 4});
  made.run.books[0].words = 5, made.run.books[0].text_bytes = 30;
  const double whole = *perplexity_table(made.run).all.back().base->bits_per_byte;
  for (ChunkRecord& chunk : made.run.chunks) chunk.scored_tokens = chunk.tokens - 1;  // L_X = 0
  auto& nll = made.run.nll[0][Arm::base];
  nll.erase(nll.begin() + 7), nll.erase(nll.begin() + 3);  // positions 8 and 4
  made.run.nll[0].erase(Arm::lora);
  double sum = 0;
  for (const float value : nll) sum += value;
  const Perplexity now = *perplexity_table(made.run).all.back().base;
  REQUIRE(nll.size() == 9);
  CHECK(*now.word_level == Approx(std::exp(sum / 9 * 11 / 5)).epsilon(1e-12));
  CHECK(*now.bits_per_byte == Approx(sum / 9 * 11 / std::log(2.0) / 30).epsilon(1e-12));
  CHECK(*now.bits_per_byte == Approx(whole).epsilon(0.05));
  // Version 2, of templora 0.1, let the missing tokens' NLL be 0.
  CHECK(*perplexity_table(made.run, 2).all.back().base->word_level == Approx(std::exp(sum / 5)).epsilon(1e-12));
  CHECK(to_json(perplexity_table(made.run, 2)).at("table_version") == 2);
  CHECK(!to_json(perplexity_table(made.run, 2)).contains("notes"));
}

TEST_CASE(
    "Perplexity: where every token but the first is scored, word level and bits per byte keep their bits",
    "[unit]") {
  Made made({0});
  made.book(0, {4, 4, 4, 3});
  made.book(1, {4, 1});
  for (BookRecord& book : made.run.books) book.words = 5, book.text_bytes = 30;
  const Perplexity now = *perplexity_table(made.run).all.back().base,
                   then = *perplexity_table(made.run, 2).all.back().base;
  CHECK(*now.word_level == *then.word_level);
  CHECK(*now.bits_per_byte == *then.bits_per_byte);
}

TEST_CASE("Perplexity: a text without spaces between words has no word level, and a note says why, once", "[unit]") {
  Made made({0});
  made.book(0, {4, 4, 4});
  made.book(1, {4, 2});
  made.run.books[0].words = 30, made.run.books[0].text_bytes = 180;
  made.run.books[1].words = 1, made.run.books[1].text_bytes = 3031;
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(!table.all.back().base->word_level);
  CHECK(table.all.back().base->bits_per_byte);
  CHECK(table.books[0].second.back().base->word_level);  // the others keep theirs
  CHECK(!table.books[1].second.back().base->word_level);
  REQUIRE(table.notes.size() == 1);
  CHECK(table.notes[0].find("1.txt: 3031 bytes between white space") != std::string::npos);
  CHECK(to_json(table).at("notes").size() == 1);
  CHECK(to_json(table).at("all").back().at("base").at("word_level").is_null());
  made.run.books[1].words = 76;  // 40 bytes a word
  CHECK(perplexity_table(made.run).all.back().base->word_level);
}

TEST_CASE("Perplexity: what no double holds is no number, and a note says so", "[unit]") {
  Made made({0, 8});
  made.book(0, {4, 4, 4});
  made.book(1, {4, 4, 4});
  for (BookRecord& book : made.run.books) book.words = 5, book.text_bytes = 30;
  for (float& value : made.run.nll[1][Arm::lora]) value = 800;
  const PerplexityTable table = perplexity_table(made.run);
  const SegmentRow &all = table.all.back(), &hurt = table.books[1].second.back();
  CHECK(!hurt.lora->corpus);
  CHECK(hurt.base->corpus);
  CHECK(!hurt.change_corpus_percent);
  CHECK(all.lora->corpus);       // 400 nats on average
  CHECK(!all.lora->chunk_mean);  // a mean of exponentials
  CHECK(!all.lora->book_mean);
  CHECK(!all.lora->word_level);
  CHECK(hurt.over_books.empty());
  CHECK(hurt.within_book.empty());
  CHECK(table.notes.size() == 1);
  const Json json = to_json(table);
  CHECK_NOTHROW(dump_json(json, "table"));
  CHECK(json.at("all").back().at("lora").at("chunk_mean").is_null());
  CHECK(json.at("all").back().at("over_books").at("lora").at("book_change_percent")[1].is_null());
}

TEST_CASE("Perplexity: a growing gain is told from a change of books by matched books", "[unit]") {
  Made made({0, 8});
  made.book(0, {4, 4, 4, 4});
  made.book(1, {4, 4, 4, 4});
  made.book(2, {4, 4});  // ends in the first segment
  const PerplexityTable table = perplexity_table(made.run);
  CHECK(table.all[0].against_first_segment.empty());
  const BookMean& grown = table.all[1].against_first_segment.at(Arm::lora);
  CHECK(grown.books == 2);
  // lora's gain is 0.01 t (1 + book): on average 0.115 - 0.04 in book 0, twice that in book 1.
  CHECK(grown.mean == Approx(100 * (std::exp(-0.075 * 1.5) - 1)).epsilon(1e-4));
  CHECK(grown.method == "none");
  CHECK(grown.values.size() == 2);
  CHECK(to_json(table).at("all")[1].at("against_first_segment").at("lora").at("book_change_percent").size() == 2);
}

TEST_CASE("Perplexity: a book's own rows have intervals from moving blocks, and no others do", "[unit]") {
  Made made({0});
  made.book(0, std::vector<std::int64_t>(70, 4));
  made.book(1, {4, 4});
  const PerplexityTable table = perplexity_table(made.run);
  const BlockMean& within = table.books[0].second.back().within_book.at(Arm::lora);
  CHECK(within.chunks == 70);
  CHECK(within.block_chunks == 16);
  CHECK(*within.low < within.mean);
  CHECK(within.mean == Approx(*table.books[0].second.back().change_corpus_percent).epsilon(1e-9));
  CHECK(!table.books[1].second.back().within_book.at(Arm::lora).low);
  CHECK(table.all.back().within_book.empty());
}

TEST_CASE("Perplexity: the official number weights first chunks with the chunk length", "[unit]") {
  Made made({0}, "official", 4);
  made.book(0, {6, 4, 3});  // a first chunk longer than Δ
  made.book(1, {3});        // a book shorter than Δ
  const PerplexityTable table = perplexity_table(made.run);
  const double sum = 4 * Made::ppl(Made::base, 0, 1, 6) + 4 * Made::ppl(Made::base, 0, 6, 10) +
                     3 * Made::ppl(Made::base, 0, 10, 13) + 3 * Made::ppl(Made::base, 1, 1, 3);
  REQUIRE(table.official_base);
  CHECK(*table.official_base == Approx(sum / 14));
  CHECK(table.official_lora);

  Made corrected({0});
  corrected.book(0, {6, 4, 3});
  CHECK(!perplexity_table(corrected.run).official_base);
}

TEST_CASE("Perplexity: a run without its config is refused", "[unit]") {
  Made made({0});
  made.run.run["config"].erase("window");
  CHECK_THROWS_AS(perplexity_table(made.run), Error);
}

TEST_CASE("Perplexity: the official number is what the released code's formulas printed", "[parity]") {
  const std::string where = std::string(TEMPLORA_SOURCE_DIR) + "/tests/goldens/official/expected.json";
  const Json golden = parse_json(read_file(where), where);
  for (const Json& document : golden.at("documents")) {
    INFO(document.at("name").dump());
    Made made({0}, "official", golden.at("settings").at("window.chunk_tokens"),
              golden.at("settings").at("train.prefix_tokens"));
    std::vector<std::int64_t> sizes;
    for (const Json& chunk : document.at("chunks")) sizes.push_back(chunk.at("tokens"));
    made.book(0, sizes);
    CHECK(made.run.books[0].tokens == document.at("tokens").get<std::int64_t>());
    for (const auto& [arm, name] : {std::pair{Arm::base, "base_nll"}, std::pair{Arm::lora, "lora_nll"}}) {
      std::vector<float>& values = made.run.nll[0][arm];
      values.clear();
      for (std::size_t c = 0; c < sizes.size(); ++c)  // only the mean of a chunk counts
        values.insert(values.end(), static_cast<std::size_t>(made.run.chunks[c].scored_tokens),
                      document.at("chunks")[c].at(name).get<float>());
    }
    const PerplexityTable table = perplexity_table(made.run);
    CHECK(std::abs(*table.official_base - document.at("base_ppl").get<double>()) < 1e-4);
    CHECK(std::abs(*table.official_lora - document.at("lora_ppl").get<double>()) < 1e-4);
  }
}
