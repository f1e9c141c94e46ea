#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace templora {

/// Gives equal words equal numbers, so that a sequence of words can be compared like one of characters.
class WordNumbers {
 public:
  std::u32string operator()(const std::vector<std::u32string_view>& words);

 private:
  std::unordered_map<std::u32string, char32_t> numbers_;
};

/// For each order n = 1 … max_order, in place n − 1: how many n-grams of `hypothesis` are met by the references,
/// each distinct one at most as often as it stands in the reference that has most of it. Symbols are code points
/// or numbers of words. Time: (all symbols) · log(all symbols) · max_order at most.
std::vector<std::int64_t> ngram_matches(std::u32string_view hypothesis,
                                        std::span<const std::u32string_view> references, int max_order);

/// Number of n-grams of order `order` in a sequence of `length` symbols.
inline std::int64_t ngram_count(std::size_t length, int order) {
  const auto count = static_cast<std::int64_t>(length) - order + 1;
  return count > 0 ? count : 0;
}

}  // namespace templora
