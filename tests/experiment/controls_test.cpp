#include "experiment/controls.h"

#include <ATen/ops/equal.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "catch.h"
#include "experiment/temp_lora.h"
#include "made_config.h"
#include "model/tensors.h"
#include "small_loop.h"

using namespace templora;
using namespace templora_test;

namespace {

// Token i of book b is a fixed number below 60, another one in another book.
Book made_book(std::int64_t index, std::int64_t tokens) {
  Book book;
  book.name = "book" + std::to_string(index);
  book.text_hash = book.name;
  for (std::int64_t t = 0; t < tokens; ++t) book.tokens.push_back((t * (7 + 2 * index) + t * t % 11 + index) % 60);
  return book;
}

std::vector<Book> made_books() { return {made_book(0, 200), made_book(1, 100), made_book(2, 90), made_book(3, 240)}; }

Config controls_config(const std::vector<Override>& more = {}) {
  return made_config({{"lora.rank", "4"},
                      {"lora.dropout", "0"},
                      {"window.chunk_tokens", "24"},
                      {"train.prefix_tokens", "24"},
                      {"train.learning_rate", "0.01"}},
                     more);
}

ControlSegments both(const std::vector<Book>& books, std::int64_t index, std::int64_t chunk_tokens = 24) {
  const auto chunks = cut_chunks(std::int64_t(books[std::size_t(index)].tokens.size()), chunk_tokens, chunk_tokens);
  ControlSegments segments;
  for (const Control control : {Control::other_book, Control::mixed_books})
    segments[arm_of(control)] = control_segments(control, books, books[std::size_t(index)], index, chunks, 42);
  return segments;
}

}  // namespace

TEST_CASE("controls: other_book goes through the next book in order, then through the one after it", "[unit]") {
  const std::vector<Book> books = made_books();
  const auto segments = both(books, 0).at(Arm::other_book);  // 8 chunks of 24 and one of 8
  REQUIRE(segments.size() == 9);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(segments[i].book == &books[1]);  // 4 whole chunks in 100 tokens
    CHECK(segments[i].chunk.first == std::int64_t(24 * i));
  }
  CHECK(segments[4].book == &books[2]);
  CHECK(segments[4].chunk.first == 0);
  CHECK(segments[8].chunk.count == 8);
  CHECK(both(books, 3).at(Arm::other_book)[0].book == &books[0]);  // the pairing is cyclic
}

TEST_CASE("controls: mixed_books draws from all other books, each chunk once, the same way every time", "[unit]") {
  const std::vector<Book> books = made_books();
  const auto segments = both(books, 0).at(Arm::mixed_books);
  const auto again = both(books, 0).at(Arm::mixed_books);
  std::set<std::pair<const Book*, std::int64_t>> drawn;
  std::set<const Book*> from;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    CHECK(segments[i].book != &books[0]);
    CHECK(segments[i].chunk.first == again[i].chunk.first);
    drawn.insert({segments[i].book, segments[i].chunk.first});
    from.insert(segments[i].book);
  }
  CHECK(drawn.size() == segments.size());
  CHECK(from.size() > 1);
}

TEST_CASE("controls: a text is no source for itself, and without another one the message says what to name", "[unit]") {
  std::vector<Book> books{made_book(0, 100), made_book(0, 100)};
  CHECK_THROWS_WITH(both(books, 0), Catch::Matchers::Contains("data.control_books"));
  books.push_back(made_book(1, 10));  // shorter than a chunk
  CHECK_THROWS_WITH(both(books, 0), Catch::Matchers::Contains("24 tokens"));
}

TEST_CASE("controls: shuffled_words are the scored chunks with each one's words in another order", "[unit]") {
  Book book = made_book(0, 100);
  book.tokens[0] = 999;  // a mark before the text, which has no words of its own
  book.ends.push_back(0);
  for (std::size_t t = 1; t < book.tokens.size(); ++t) {
    book.text += t % 3 == 1 ? " a" : "b";  // words of three tokens
    book.ends.push_back(book.text.size());
  }
  const auto chunks = cut_chunks(100, 24, 25);  // [0, 25) with the mark, three of eight words, one of one
  const auto segments = control_segments(Control::shuffled_words, {}, book, 3, chunks, 42);
  REQUIRE(segments.size() == 5);
  const auto words_of = [](const std::vector<std::int64_t>& tokens, const Chunk& chunk) {
    std::vector<std::vector<std::int64_t>> words;
    for (std::int64_t t = chunk.first + (chunk.first == 0); t < chunk.end(); t += 3)
      words.emplace_back(tokens.begin() + t, tokens.begin() + t + 3);
    return words;
  };
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    INFO("chunk " << i);
    const std::vector<std::int64_t>& tokens = segments[i].book->tokens;
    CHECK(segments[i].chunk.first == chunks[i].first);
    CHECK(segments[i].chunk.count == chunks[i].count);
    REQUIRE(tokens.size() == book.tokens.size());
    CHECK(tokens[0] == 999);
    auto got = words_of(tokens, chunks[i]), wanted = words_of(book.tokens, chunks[i]);
    CHECK((got == wanted) == (i == 4));  // one word has one order
    std::sort(got.begin(), got.end());
    std::sort(wanted.begin(), wanted.end());
    CHECK(got == wanted);
  }
  CHECK(segments[1].book->tokens == control_segments(Control::shuffled_words, {}, book, 3, chunks, 42)[1].book->tokens);
  CHECK(segments[1].book->tokens != control_segments(Control::shuffled_words, {}, book, 4, chunks, 42)[1].book->tokens);
  CHECK(segments[1].book->tokens != control_segments(Control::shuffled_words, {}, book, 3, chunks, 43)[1].book->tokens);
  book.text.assign(book.text.size(), 'b');
  CHECK_THROWS_WITH(control_segments(Control::shuffled_words, {}, book, 3, chunks, 42),
                    Catch::Matchers::Contains("white space"));
}

TEST_CASE("TempLora: a control's module is the one that its segment's own book would have made", "[unit]") {
  Llama model = loop_model();
  const Config config = controls_config();
  const std::vector<Book> books = made_books();
  const std::string stem = (fs::temp_directory_path() / ("templora-control-" + std::to_string(::getpid()))).string();
  const auto weights_after_two_chunks = [&](const Book& book, ControlSegments segments, const std::string& module) {
    TempLora document(*model, config, book, 0, std::move(segments));
    document.step();
    document.step();
    document.save_tensors_to(stem);
    const SafetensorsFiles files = SafetensorsFiles::open_file(stem);
    return view_of(files.at(module + ".weights")).clone();
  };
  const at::Tensor own = weights_after_two_chunks(books[1], {}, "lora");
  CHECK(at::equal(weights_after_two_chunks(books[0], both(books, 0), "other_book"), own));
  CHECK_FALSE(at::equal(weights_after_two_chunks(books[0], both(books, 0), "lora"), own));
  // Also of a text that was made for it.
  const Book text = spelled(made_book(0, 200));
  ControlSegments shuffled;
  shuffled[Arm::shuffled_words] =
      control_segments(Control::shuffled_words, {}, text, 0, cut_chunks(200, 24, 24), 42);
  const Book made = *shuffled[Arm::shuffled_words][0].book;
  CHECK(at::equal(weights_after_two_chunks(text, shuffled, "shuffled_words"),
                  weights_after_two_chunks(made, {}, "lora")));
  fs::remove(stem);
}

TEST_CASE("TempLora: controls change neither the base's NLLs nor the module's, bit for bit", "[unit]") {
  Llama model = loop_model();
  const Config config = controls_config({{"lora.dropout", "0.1"}});
  const std::vector<Book> books = made_books();
  TempLora plain(*model, config, books[0], 0), controlled(*model, config, books[0], 0, both(books, 0));
  while (plain.next_chunk() < plain.chunk_count()) {
    const ChunkResult a = plain.step(), b = controlled.step();
    CHECK(a.base_nll == b.base_nll);
    CHECK(a.lora_nll == b.lora_nll);
    REQUIRE(b.control_nll.at(Arm::mixed_books).size() == a.lora_nll.size());
    if (b.record.chunk > 1) CHECK(b.control_nll.at(Arm::mixed_books) != a.lora_nll);
  }
}

TEST_CASE("TempLora: a document with controls goes on bit for bit from a saved state", "[unit]") {
  Llama model = loop_model();
  const Config config = controls_config({{"lora.dropout", "0.1"}});
  const std::vector<Book> books = made_books();
  const fs::path file =
      fs::temp_directory_path() / ("templora-controls-" + std::to_string(::getpid()) + ".safetensors");
  TempLora whole(*model, config, books[3], 3, both(books, 3));
  Json state;
  for (int i = 0; i < 4; ++i) whole.step();
  state = whole.state();
  whole.save_tensors_to(file);
  TempLora second(*model, config, books[3], 3, both(books, 3));
  second.restore(state, file);
  while (whole.next_chunk() < whole.chunk_count()) {
    const ChunkResult a = whole.step(), b = second.step();
    CHECK(a.lora_nll == b.lora_nll);
    CHECK((a.control_nll == b.control_nll));
  }
  fs::remove(file);
}
