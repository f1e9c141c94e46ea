#include "text/bm25.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/check.h"
#include "core/utf8.h"
#include "text/code_points.h"
#include "text/tokenizer_tables.h"

namespace templora {

std::vector<std::string> lower_words(std::string_view text) {
  enum Kind : std::uint8_t { mark, letter, whole_word };
  static const CodePointMap letters(
      CodePointSet::category("L").united(CodePointSet::category("M")).united(CodePointSet::category("N")));
  static const CodePointMap han{CodePointSet(kPatternHan)};
  std::vector<std::string> words;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
  };
  const char *at = text.data(), *const end = at + text.size();
  while (at < end) {
    const char* const start = at;
    const char32_t value = next_code_point(at);
    const Kind kind = han[value] != 0 ? whole_word : letters[value] != 0 ? letter : mark;
    if (kind != letter) end_word();
    if (kind != mark) word += lower_ascii(std::string_view(start, at));
    if (kind == whole_word) end_word();
  }
  end_word();
  return words;
}

void Bm25::add(std::string_view text) {
  Passage passage;
  for (const std::string& word : lower_words(text)) ++passage.words[word], ++passage.length;
  passages_.push_back(std::move(passage));
}

std::vector<double> Bm25::scores(std::string_view question, std::size_t passages) const {
  TEMPLORA_CHECK(passages > 0 && passages <= passages_.size(), "some of the passages");
  constexpr double k1 = 1.2, b = 0.75;
  double mean_length = 0;
  for (std::size_t i = 0; i < passages; ++i) mean_length += static_cast<double>(passages_[i].length);
  mean_length = std::max(1.0, mean_length / static_cast<double>(passages));
  const std::vector<std::string> words = lower_words(question);
  std::vector<double> scores(passages, 0.0);
  for (const std::string& word : std::set<std::string>(words.begin(), words.end())) {
    double with = 0;
    for (std::size_t i = 0; i < passages; ++i) with += passages_[i].words.contains(word);
    const double weight = std::log1p((static_cast<double>(passages) - with + 0.5) / (with + 0.5));
    for (std::size_t i = 0; i < passages; ++i) {
      const auto found = passages_[i].words.find(word);
      if (found == passages_[i].words.end()) continue;
      const auto times = static_cast<double>(found->second);
      const double length = static_cast<double>(passages_[i].length) / mean_length;
      scores[i] += weight * times * (k1 + 1) / (times + k1 * (1 - b + b * length));
    }
  }
  return scores;
}

std::size_t Bm25::best(std::string_view question, std::size_t passages) const {
  const std::vector<double> all = scores(question, passages);
  return static_cast<std::size_t>(std::max_element(all.begin(), all.end()) - all.begin());
}

}  // namespace templora
