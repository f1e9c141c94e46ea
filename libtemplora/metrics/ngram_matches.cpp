#include "metrics/ngram_matches.h"

#include <algorithm>

namespace templora {

namespace {

/// A place in one of the texts, and what can be read there: at most max_order symbols.
struct Place {
  std::u32string_view symbols;
  std::size_t text;  // 0: the hypothesis, else 1 + the reference
};

std::size_t common_prefix(std::u32string_view a, std::u32string_view b) {
  const std::size_t most = std::min(a.size(), b.size());
  std::size_t length = 0;
  while (length < most && a[length] == b[length]) ++length;
  return length;
}

}  // namespace

std::u32string WordNumbers::operator()(const std::vector<std::u32string_view>& words) {
  std::u32string out;
  out.reserve(words.size());
  for (const std::u32string_view word : words) {
    out += numbers_.try_emplace(std::u32string(word), static_cast<char32_t>(numbers_.size())).first->second;
  }
  return out;
}

std::vector<std::int64_t> ngram_matches(std::u32string_view hypothesis,
                                        std::span<const std::u32string_view> references, int max_order) {
  const auto orders = static_cast<std::size_t>(max_order);
  const std::size_t texts = references.size() + 1;
  std::vector<Place> places;
  const auto add_text = [&](std::u32string_view symbols, std::size_t text) {
    for (std::size_t i = 0; i < symbols.size(); ++i) places.push_back({symbols.substr(i, orders), text});
  };
  add_text(hypothesis, 0);
  for (std::size_t r = 0; r < references.size(); ++r) add_text(references[r], r + 1);
  // Sorted, the places at which the same n-gram starts follow one another, for every n at once.
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a.symbols < b.symbols; });

  std::vector<std::int64_t> matches(orders, 0);
  std::vector<std::int64_t> counts(orders * texts, 0);  // [order, text] of the n-gram at hand
  const auto close = [&](std::size_t from_order) {
    for (std::size_t n = from_order; n < orders; ++n) {
      const auto row = counts.begin() + static_cast<std::ptrdiff_t>(n * texts);
      const auto end = row + static_cast<std::ptrdiff_t>(texts);
      if (texts > 1) matches[n] += std::min(*row, *std::max_element(row + 1, end));
      std::fill(row, end, 0);
    }
  };
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (i > 0) close(common_prefix(places[i - 1].symbols, places[i].symbols));
    for (std::size_t n = 0; n < places[i].symbols.size(); ++n) ++counts[n * texts + places[i].text];
  }
  close(0);
  return matches;
}

}  // namespace templora
