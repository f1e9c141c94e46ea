#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "experiment/completer.h"
#include "text/books.h"

namespace templora {

/// How a book is asked for what a model may have seen of it.
struct ExposureOptions {
  std::int64_t prompts = 32;  ///< places a book
  std::int64_t tokens = 50;   ///< of a prompt, and of what should follow
  std::int64_t seed = 42;
};

/// What greedy decoding gave back of a book (Carlini et al. 2023, arXiv 2202.07646): a prompt of the book's own tokens,
/// and how many tokens of its continuation came back before the first other one.
struct BookExposure {
  std::string book;
  std::vector<std::int64_t> places;    ///< where each prompt begins
  std::vector<std::int64_t> returned;  ///< tokens, one number a prompt

  std::int64_t whole(std::int64_t tokens) const;  ///< prompts of which the whole continuation came back
  double mean() const;                            ///< of returned
};

/// Throws Error(bad_input) for a book that is too short for so many prompts and what follows them.
void require_length(const Book& book, const ExposureOptions& options);

/// Asks at one random place in each of as many equal strips of the book, so that no two prompts share a token; places
/// depend on the seed and the book's text. `keep_on` is asked before each prompt; none where it said no. Throws as
/// require_length() does.
std::optional<BookExposure> book_exposure(const Book& book, const ExposureOptions& options, Completer& completer,
                                          const std::function<bool()>& keep_on);

}  // namespace templora
