#include "experiment/controls.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/config_fields.h"
#include "core/error.h"
#include "experiment/token_corpus.h"

namespace templora {
namespace {

std::int64_t tokens_of(const Book& book) { return std::int64_t(book.tokens.size()); }

/// The texts that may teach, from `first` on in cyclic order.
std::vector<const Book*> others(const std::vector<Book>& sources, const Book& scored, std::int64_t first) {
  std::vector<const Book*> found;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const Book& book = sources[(std::size_t(first) + i) % sources.size()];
    if (book.text_hash != scored.text_hash) found.push_back(&book);
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

}  // namespace

Arm arm_of(Control control) { return control == Control::other_book ? Arm::other_book : Arm::mixed_books; }

std::vector<ControlSegment> control_segments(Control control, const std::vector<Book>& sources, const Book& scored,
                                    std::int64_t book_index, const std::vector<Chunk>& chunks, std::int64_t seed) {
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
  return drawn(books, chunks, longest, std::uint64_t(seed) + 0x9E3779B97F4A7C15ull * std::uint64_t(book_index));
}

}  // namespace templora
