#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "config/config.h"
#include "text/book_text.h"
#include "text/planting.h"

namespace templora {

/// What is planted in book `book_index` of a run: other names in every book, whatever else the run reads.
PlantOptions plant_options(const Config& config, std::int64_t book_index);

/// A book as a run reads it.
struct RunBook {
  Book book;
  std::optional<Planting> planting;  ///< where the config plants facts
};

/// A text of data.books. Throws Error(bad_input) as read_book() and plant_facts() do, and where names are to be swapped
/// and the text has none.
RunBook read_run_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const Config& config,
                      std::int64_t book_index);

/// A text of data.control_books, which only controls learn: its names are swapped like those of books, and nothing is
/// planted in it. Throws as read_run_book() does.
Book read_control_book(const std::filesystem::path& path, const Tokenizer& tokenizer, const Config& config);

}  // namespace templora
