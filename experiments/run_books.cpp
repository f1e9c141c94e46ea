#include "run_books.h"

#include <fmt/format.h>

#include <utility>

#include "config/lengths.h"
#include "run_record.h"

namespace templora {

RunBooks read_books(const Config& config, const std::vector<fs::path>& paths, const Tokenizer& tokenizer,
                    const LlamaConfig& model) {
  RunBooks books;
  for (const fs::path& path : paths) {
    RunBook read = read_run_book(path, tokenizer, config, std::int64_t(books.books.size()));
    check_ids(read.book.tokens, path.string(), model);
    books.books.push_back(std::move(read.book));
    if (read.planting) books.plantings.push_back(std::move(*read.planting));
  }
  return books;
}

std::vector<Book> read_control_books(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model) {
  std::vector<Book> books;
  if (!learns_other_texts(config)) return books;
  for (const fs::path& path : expand_globs(config.data.control_books, ".")) {
    books.push_back(read_control_book(path, tokenizer, config));
    check_ids(books.back().tokens, path.string(), model);
  }
  return books;
}

std::vector<std::int64_t> token_counts(const std::vector<Book>& books) {
  std::vector<std::int64_t> tokens;
  for (const Book& book : books) tokens.push_back(std::int64_t(book.tokens.size()));
  return tokens;
}

std::vector<std::string> text_hashes(const std::vector<Book>& books) {
  std::vector<std::string> hashes;
  for (const Book& book : books) hashes.push_back(book.text_hash);
  return hashes;
}

void check_distinct_books(const std::vector<fs::path>& paths, const std::vector<Book>& books, bool resumed) {
  std::vector<std::string> hashes;
  for (const Book& book : books) hashes.push_back(book.same_text());
  check_distinct_texts(paths, hashes, "data.books", resumed);
}

void add_hashes_before(const Config& config, const RunBooks& books, Json& identity) {
  for (std::size_t i = 0; config.data.swap_names && i < books.books.size(); ++i)
    identity[fmt::format("unswapped_text_{}_hash", i)] = books.books[i].source();
  for (std::size_t i = 0; i < books.plantings.size(); ++i)
    identity[fmt::format("unplanted_text_{}_hash", i)] = books.plantings[i].unplanted_hash;
}

}  // namespace templora
