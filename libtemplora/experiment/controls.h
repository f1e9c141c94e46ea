#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "config/config.h"
#include "plan/chunks.h"
#include "run/record.h"
#include "text/books.h"

namespace templora {

/// What an adapter learns after one chunk of the scored text: a chunk of some text.
struct ControlSegment {
  const Book* book;
  Chunk chunk;
  std::shared_ptr<const Book> made = {};  ///< keeps a text that was made for the control
};

/// Which column a control fills.
Arm arm_of(Control control);

/// The segments of a control for a document that is cut into `chunks`: segment i follows chunk i and has as many
/// tokens, with the prefix of its own text in front of it when it is trained on.
///
/// other_book: consecutive chunks of one other text, the one after `book_index` in cyclic order; where it ends,
/// the next one goes on. mixed_books: chunks drawn from all `sources` without repetition until all were drawn,
/// in an order made from `seed` and `book_index`. A text equal to `scored` is never a source of these two.
/// shuffled_words: the scored chunks themselves, the words of each in an order made from the same; a word is a token
/// that begins with white space and those up to the next one.
/// Throws Error(usage) where no other text holds a chunk of that length, or the scored one has no words to shuffle.
std::vector<ControlSegment> control_segments(Control control, const std::vector<Book>& sources, const Book& scored,
                                    std::int64_t book_index, const std::vector<Chunk>& chunks, std::int64_t seed);

/// What all controls learn of a run for one document.
using ControlSegments = std::map<Arm, std::vector<ControlSegment>>;

}  // namespace templora
