#include "text/books.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "catch.h"
#include "core/error.h"
#include "core/file.h"
#include "text/scratch_folder.h"
#include "text/tokenizer_goldens.h"

using namespace templora;
using templora_test::kTokenizers;

TEST_CASE("read_book: line ends become LF and outer white space goes", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer tokenizer(kTokenizers / "bare");
  const Book book = read_book(scratch.write("b.txt", "\r\n \u3000One two\r\nthree\rfour\n\r\n"), tokenizer, {});
  CHECK(book.name == "b.txt");
  CHECK(book.tokens == tokenizer.encode("One two\nthree\nfour", true));
  CHECK(book.tokens.front() == tokenizer.bos_id());
  CHECK(book.text_bytes == 18);
  CHECK(book.words == 4);
  CHECK(book.text_hash == read_book(scratch.write("c.txt", "One two\nthree\nfour"), tokenizer, {}).text_hash);

  BookOptions kept;
  kept.strip = false;
  CHECK(read_book(scratch.write("d.txt", " a\r\n"), tokenizer, kept).tokens == tokenizer.encode(" a\n", true));
}

TEST_CASE("read_book: a byte order mark stays in the text", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer tokenizer(kTokenizers / "bare");
  CHECK(read_book(scratch.write("b.txt", "\ufeffOne"), tokenizer, {}).tokens == tokenizer.encode("\ufeffOne", true));
}

TEST_CASE("read_book: max_tokens keeps the first tokens and counts their text only", "[unit]") {
  const ScratchFolder scratch;
  const std::string text = "The grass withereth, caf\u00e9 \U0001f600 the <s> flower \u2581fadeth";
  const auto file = scratch.write("b.txt", text);
  for (const char* name : {"bare", "added-new", "no-prefix-new", "unigram", "trimming"}) {
    CAPTURE(name);
    const Tokenizer tokenizer(kTokenizers / name);
    const Book whole = read_book(file, tokenizer, {});
    CHECK(whole.text_bytes == static_cast<std::int64_t>(text.size()));
    CHECK(whole.words == 9);
    BookOptions options;
    std::int64_t before = 0;
    for (std::size_t count = 1; count <= whole.tokens.size() + 3; ++count) {
      options.max_tokens = static_cast<std::int64_t>(count);
      const Book book = read_book(file, tokenizer, options);
      const std::size_t kept = std::min(count, whole.tokens.size());
      REQUIRE(book.tokens == std::vector<std::int64_t>(whole.tokens.begin(), whole.tokens.begin() + kept));
      CHECK(book.text_hash == whole.text_hash);
      CHECK(book.text_bytes >= before);
      before = book.text_bytes;
    }
    CHECK(before == whole.text_bytes);
  }

  // BOS, then pieces whose joined names spell the text so far.
  const Tokenizer tokenizer(kTokenizers / "bare");
  BookOptions options;
  options.max_tokens = static_cast<std::int64_t>(tokenizer.encode("The grass", true).size());
  const Book book = read_book(scratch.write("c.txt", "The grass withereth"), tokenizer, options);
  CHECK(tokenizer.decode(book.tokens, true) == "The grass");
  CHECK(book.text_bytes == 9);
  CHECK(book.words == 2);
}

TEST_CASE("read_book: what is no book is refused by name", "[unit]") {
  const ScratchFolder scratch;
  const Tokenizer tokenizer(kTokenizers / "bare");
  const auto message = [&](const fs::path& path) {
    try {
      read_book(path, tokenizer, {});
    } catch (const Error& error) {
      CHECK(error.exit_code() == Exit::bad_input);
      const std::string text = error.what();
      CHECK(text.find('\n') == std::string::npos);
      CHECK(text.find(path.string()) != std::string::npos);
      return text;
    }
    return std::string("no error");
  };
  CHECK(message(scratch.write("latin.txt", "caf\xe9 au lait")).find("byte 3: got 0xe9") != std::string::npos);
  CHECK(message(scratch.write("empty.txt", "")).find("book of 0 bytes") != std::string::npos);
  CHECK(message(scratch.write("blank.txt", " \r\n\u3000")).find("without a word") != std::string::npos);
  CHECK(message(scratch.path() / "missing.txt") != "no error");
}
