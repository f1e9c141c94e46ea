#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "text/bm25.h"
#include "text/books.h"

namespace templora {

/// A book cut into passages of equally many tokens, which are found by their words (BM25).
class Passages {
 public:
  /// The book must outlive it; a rest that is shorter is left out.
  Passages(const Book& book, std::int64_t tokens);

  /// First token of the passage that shares most with `words`, among those that end at or before token `end`; none
  /// where no word is shared. What stands behind `end` has no part in it.
  std::optional<std::int64_t> best(std::string_view words, std::int64_t end) const;

  /// Adds that passage's tokens to `to`.
  void append(std::int64_t first, std::vector<std::int64_t>& to) const;
  std::int64_t tokens() const { return tokens_; }

 private:
  const Book& book_;
  std::int64_t tokens_;
  Bm25 found_by_;
};

}  // namespace templora
