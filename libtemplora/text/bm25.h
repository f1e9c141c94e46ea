#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// Ranks passages by the words that they share with a question: BM25 as Robertson and Zaragoza 2009 have it, k1 1.2 and
/// b 0.75, with ln(1 + (N - n + 0.5) / (n + 0.5)) as a word's weight. Words are runs of letters and digits, A to Z in
/// lower case; a Chinese character is a word of its own. Texts are valid UTF-8.
class Bm25 {
 public:
  void add(std::string_view passage);
  std::size_t size() const { return passages_.size(); }

  /// Index of the best of the first `passages` passages, the earlier one of equals; `passages` is at least 1.
  std::size_t best(std::string_view question, std::size_t passages) const;
  /// The scores themselves.
  std::vector<double> scores(std::string_view question, std::size_t passages) const;

 private:
  struct Passage {
    std::map<std::string, int> words;
    std::size_t length = 0;
  };
  std::vector<Passage> passages_;
};

/// Words as Bm25 sees them.
std::vector<std::string> lower_words(std::string_view text);

}  // namespace templora
