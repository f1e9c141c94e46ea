#include "text/passages.h"

#include <algorithm>

#include "core/check.h"

namespace templora {

Passages::Passages(const Book& book, std::int64_t tokens) : book_(book), tokens_(tokens) {
  TEMPLORA_CHECK(tokens > 0, "a passage has tokens");
  for (std::int64_t first = 0; first + tokens <= std::int64_t(book.tokens.size()); first += tokens)
    found_by_.add(book.text_of(first, tokens));
}

std::optional<std::int64_t> Passages::best(std::string_view words, std::int64_t end) const {
  if (end < tokens_) return std::nullopt;
  const std::vector<double> scores = found_by_.scores(words, std::size_t(end / tokens_));
  const auto best = std::max_element(scores.begin(), scores.end());
  if (!(*best > 0)) return std::nullopt;
  return std::int64_t(best - scores.begin()) * tokens_;
}

void Passages::append(std::int64_t first, std::vector<std::int64_t>& to) const {
  to.insert(to.end(), book_.tokens.begin() + first, book_.tokens.begin() + first + tokens_);
}

}  // namespace templora
