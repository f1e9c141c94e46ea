#include "experiment/controls.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/config_fields.h"
#include "core/error.h"
#include "core/utf8.h"
#include "experiment/chunk_values.h"
#include "experiment/token_corpus.h"

namespace templora {
namespace {

std::int64_t tokens_of(const Book& book) { return std::int64_t(book.tokens.size()); }

/// The texts that may teach, from `first` on in cyclic order.
std::vector<const Book*> others(const std::vector<Book>& sources, const Book& scored, std::int64_t first) {
  std::vector<const Book*> found;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Book& book = sources[(std::size_t(first) + i) % sources.size()];
    if (book.same_text() != scored.same_text()) found.push_back(&book);
  }
  return found;
}

/// Reads texts from their starts, one after the other, and then again.
std::vector<ControlSegment> in_order(const std::vector<const Book*>& books, const std::vector<Chunk>& chunks) {
  std::vector<ControlSegment> segments;
  std::size_t book = 0;
  std::int64_t at = 0;
  for (const Chunk& chunk : chunks) {
    while (tokens_of(*books[book]) - at < chunk.count) {
      book = (book + 1) % books.size();
      at = 0;
    }
    segments.push_back({books[book], {at, chunk.count}});
    at += chunk.count;
  }
  return segments;
}

std::vector<ControlSegment> drawn(const std::vector<const Book*>& books, const std::vector<Chunk>& chunks,
                                  std::int64_t longest, std::uint64_t seed) {
  std::vector<ControlSegment> all;
  for (const Book* book : books)
    for (std::int64_t at = 0; at + longest <= tokens_of(*book); at += longest) all.push_back({book, {at, longest}});
  SequenceOrder order(std::int64_t(all.size()), seed);
  std::vector<ControlSegment> segments;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    segments.push_back(all[std::size_t(order.at(std::int64_t(i)))]);
    segments.back().chunk.count = chunks[i].count;
  }
  return segments;
}

/// Where the words of a chunk begin, and its end. A mark before the text (BOS) stands where it stood.
std::vector<std::int64_t> word_starts(const Book& book, const Chunk& chunk) {
  std::vector<std::int64_t> starts;
  for (std::int64_t t = chunk.first; t < chunk.end(); ++t) {
    const std::string_view text = book.text_of(t, 1);
    const bool mark = t == 0 && text.empty();
    if (!mark && (starts.empty() || (!text.empty() && is_white_space(code_point_at(text, 0).value))))
      starts.push_back(t);
  }
  starts.push_back(chunk.end());
  return starts;
}

std::vector<ControlSegment> with_shuffled_words(const Book& scored, const std::vector<Chunk>& chunks,
                                                std::uint64_t seed) {
  auto made = std::make_shared<Book>();
  made->name = scored.name;
  made->tokens = scored.tokens;
  std::vector<ControlSegment> segments;
  std::int64_t all_words = 0;
  for (const Chunk& chunk : chunks) {
    segments.push_back({made.get(), chunk, made});
    const std::vector<std::int64_t> starts = word_starts(scored, chunk);
    const auto words = std::int64_t(starts.size()) - 1;
    all_words += words;
    if (words < 2) continue;
    SequenceOrder order(words, seed + std::uint64_t(chunk.first));
    auto to = made->tokens.begin() + starts[0];
    for (std::int64_t w = 0; w < words; ++w) {
      const auto word = std::size_t(order.at(w));
      to = std::copy(scored.tokens.begin() + starts[word], scored.tokens.begin() + starts[word + 1], to);
    }
  }
  constexpr std::int64_t kMostTokensAWord = 8;  // on average; above it the text has no white space between its words
  if (all_words * kMostTokensAWord < tokens_of(scored))
    throw Error(Exit::usage, fmt::format("control: {}: got {}, which has white space {} times in {} tokens; wanted a "
                                         "text with white space between its words, or another control",
                                         enum_name(Control::shuffled_words), printable(scored.name),
                                         all_words - std::int64_t(chunks.size()), tokens_of(scored)));
  return segments;
}

}  // namespace

Arm arm_of(Control control) {
  switch (control) {
    case Control::other_book: return Arm::other_book;
    case Control::mixed_books: return Arm::mixed_books;
    case Control::shuffled_words: return Arm::shuffled_words;
  }
  return Arm::other_book;
}

std::vector<ControlSegment> control_segments(Control control, const std::vector<Book>& sources, const Book& scored,
                                    std::int64_t book_index, const std::vector<Chunk>& chunks, std::int64_t seed) {
  if (control == Control::shuffled_words) return with_shuffled_words(scored, chunks, adapter_seed(seed, book_index, 0));
  std::int64_t longest = 0;
  for (const Chunk& chunk : chunks) longest = std::max(longest, chunk.count);
  const std::vector<const Book*> books = others(sources, scored, control == Control::other_book ? book_index + 1 : 0);
  const bool enough =
      std::any_of(books.begin(), books.end(), [&](const Book* book) { return tokens_of(*book) >= longest; });
  if (!enough)
    throw Error(Exit::usage,
                fmt::format("control: {}: got no text besides {} that has a chunk of {} tokens; name some in "
                            "data.control_books",
                            enum_name(control), scored.name, longest));
  if (control == Control::other_book) return in_order(books, chunks);
  return drawn(books, chunks, longest, adapter_seed(seed, book_index, 0));
}

}  // namespace templora
