#include "metrics/word_uses.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

#include "core/ascii_letters.h"
#include "core/utf8.h"

namespace templora {
namespace {

bool is_letter(char c) { return is_upper_ascii(c) || is_lower_ascii(c) || static_cast<unsigned char>(c) > 127; }

/// The commonest words of English novels.
const std::set<std::string>& function_words() {
  static const std::set<std::string> words{
      "the",  "of",   "and",  "to",   "a",    "in",    "that", "he",   "was",   "it",    "his",  "i",    "with",
      "as",   "had",  "her",  "for",  "you",  "not",   "but",  "at",   "be",    "on",    "she",  "is",   "him",
      "my",   "have", "by",   "from", "they", "so",    "all",  "me",   "which", "this",  "were", "we",   "there",
      "one",  "no",   "said", "their", "or",  "what",  "an",   "if",   "them",  "would", "who",  "when", "are",
      "been", "your", "up",   "out",  "will", "could", "into", "do",   "then",  "than",  "has",  "very", "some"};
  return words;
}

const char* const kClasses[] = {"name", "function", "rare", "frequent"};
const char* const kUses[] = {"first", "in window", "up to 4 windows", "later"};

}  // namespace

std::vector<ScoredWord> scored_words(const std::vector<ScoredToken>& tokens) {
  std::vector<ScoredWord> words;
  bool open = false;
  for (const ScoredToken& token : tokens) {
    const std::string_view text = token.text;
    std::size_t first = 0;
    while (first < text.size() && !is_letter(text[first])) ++first;
    std::size_t end = first;
    while (end < text.size() && is_letter(text[end])) ++end;
    const bool begins = first > 0 && end > first, goes_on = first == 0 && end > 0 && open;
    if (begins) words.push_back({"", token.position, 0, {}});
    open = (begins || goes_on) && end == text.size();  // a mark behind the letters ends the word
    if (!begins && !goes_on) continue;
    ScoredWord& word = words.back();
    word.word += text.substr(first, end - first);
    ++word.tokens;
    for (const auto& [arm, nll] : token.nll) word.nll[arm] += nll;
  }
  return words;
}

std::vector<WordUses> word_uses(const std::vector<ScoredWord>& words, std::int64_t window_tokens) {
  std::map<std::string, std::int64_t> uses;
  std::set<std::string> small;  // that stand without a capital somewhere
  for (const ScoredWord& word : words) {
    ++uses[lower_ascii(word.word)];
    if (!is_upper_ascii(word.word[0])) small.insert(word.word);
  }
  std::map<std::pair<std::size_t, std::size_t>, WordUses> found;
  std::map<std::string, std::int64_t> last_end;
  for (const ScoredWord& word : words) {
    const std::string plain = lower_ascii(word.word);
    const std::size_t kind = function_words().contains(plain) ? 1
                             : !small.contains(plain)         ? 0
                             : uses[plain] <= kRareUses       ? 2
                                                              : 3;
    const auto before = last_end.find(plain);
    std::size_t use = 0;
    if (before != last_end.end()) {
      const std::int64_t since = word.position - before->second;
      use = since <= window_tokens ? 1 : since <= 4 * window_tokens ? 2 : 3;
    }
    last_end[plain] = word.position + word.tokens;
    WordUses& row = found[{kind, use}];
    ++row.words;
    row.tokens += word.tokens;
    for (const auto& [arm, nll] : word.nll) row.nll[arm] += nll;
  }
  std::vector<WordUses> rows;
  for (auto& [key, row] : found) {
    row.word_class = kClasses[key.first];
    row.use = kUses[key.second];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace templora
