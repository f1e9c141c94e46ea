#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "experiment/run_book.h"
#include "model/llama_config.h"

namespace templora {

/// The books of a run as they are read: with facts in them where it plants some, and where these stand.
struct RunBooks {
  std::vector<Book> books;
  std::vector<Planting> plantings;  ///< one a book; none where no facts are planted
};

/// Reads data.books. Throws Error(bad_input) as read_run_book() does, and where a token is beyond the model's
/// vocabulary.
RunBooks read_books(const Config& config, const std::vector<fs::path>& paths, const Tokenizer& tokenizer,
                    const LlamaConfig& model);

/// Reads data.control_books where a control learns from them. Throws as read_books() does.
std::vector<Book> read_control_books(const Config& config, const Tokenizer& tokenizer, const LlamaConfig& model);

/// How many tokens each book has; hashes of what was read.
std::vector<std::int64_t> token_counts(const std::vector<Book>& books);
std::vector<std::string> text_hashes(const std::vector<Book>& books);

/// Refuses a text that stands twice in data.books, as far as data.max_tokens reads it: check_distinct_texts().
void check_distinct_books(const std::vector<fs::path>& paths, const std::vector<Book>& books, bool resumed);

/// Hashes of the texts before names were swapped and facts planted: unswapped_text_<i>_hash and
/// unplanted_text_<i>_hash of run.json's identity.
void add_hashes_before(const Config& config, const RunBooks& books, Json& identity);

}  // namespace templora
