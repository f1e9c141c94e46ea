#include "experiment/exposure.h"

#include <algorithm>

#include "catch.h"

using namespace templora;

namespace {

/// Knows one text by heart, and loses its place after so many tokens.
class Reciter : public Completer {
 public:
  Reciter(TokenIds text, std::int64_t knows) : text_(std::move(text)), knows_(knows) {}
  void forget() override { prompt_.clear(); }
  void see(const TokenIds& text) override { prompt_ = text; }
  AnswerScores score(const TokenIds&, const std::vector<TokenIds>&) override { return {}; }
  TokenIds write(const TokenIds& question, std::int64_t most, const std::function<bool(const TokenIds&)>&) override {
    CHECK(question.empty());
    const auto found = std::search(text_.begin(), text_.end(), prompt_.begin(), prompt_.end());
    TokenIds written;
    for (std::int64_t t = 0; t < most; ++t) {
      const auto at = found + std::ptrdiff_t(prompt_.size()) + t;
      if (at >= text_.end()) break;
      written.push_back(t < knows_ ? *at : -1);
    }
    return written;
  }

 private:
  TokenIds text_, prompt_;
  std::int64_t knows_;
};

Book counted_book(std::int64_t tokens) {
  Book book;
  book.name = "counted";
  for (std::int64_t t = 0; t < tokens; ++t) book.tokens.push_back(t);
  return book;
}

BookExposure exposed(const Book& book, std::int64_t knows, const ExposureOptions& options) {
  Reciter reciter(book.tokens, knows);
  const auto found = book_exposure(book, options, reciter, [] { return true; });
  REQUIRE(found);
  return *found;
}

}  // namespace

TEST_CASE("book_exposure: counts what comes back, from places that share no token", "[unit]") {
  const Book book = counted_book(1000);
  const ExposureOptions options{.prompts = 8, .tokens = 50, .seed = 7};
  const BookExposure all = exposed(book, 1000, options), some = exposed(book, 13, options);
  const BookExposure none = exposed(book, 0, options);
  CHECK(all.whole(50) == 8);
  CHECK(all.mean() == 50);
  CHECK(some.whole(50) == 0);
  CHECK(some.returned == std::vector<std::int64_t>(8, 13));
  CHECK(none.mean() == 0);
  REQUIRE(all.places.size() == 8);
  for (std::int64_t p = 0; p < 8; ++p) {
    const std::int64_t place = all.places[std::size_t(p)];
    CHECK(place >= 125 * p);
    CHECK(place + 100 <= 125 * (p + 1));
  }
  CHECK(all.places == some.places);
  CHECK(all.places != exposed(book, 1, {.prompts = 8, .tokens = 50, .seed = 8}).places);
}

TEST_CASE("book_exposure: a book that is too short is asked nothing, and one that just fits is", "[unit]") {
  const ExposureOptions options{.prompts = 4, .tokens = 25};
  Reciter reciter({}, 0);
  CHECK_THROWS_WITH(book_exposure(counted_book(199), options, reciter, [] { return true; }),
                    Catch::Matchers::Contains("counted: got 199 tokens, wanted at least 200"));
  CHECK(exposed(counted_book(200), 99, options).places == std::vector<std::int64_t>{0, 50, 100, 150});
  CHECK_FALSE(book_exposure(counted_book(200), options, reciter, [] { return false; }));
  Book other = counted_book(1000);
  other.text_hash = "another text";
  const ExposureOptions wide{.prompts = 8, .tokens = 50};
  CHECK(exposed(other, 99, wide).places != exposed(counted_book(1000), 99, wide).places);
}
