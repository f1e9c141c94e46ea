#include "text/swapped_names.h"

#include <set>
#include <vector>

#include "core/ascii_letters.h"
#include "text/code_points.h"
#include "text/invented_names.h"

namespace templora {
namespace {

std::string upper_ascii(std::string text) {
  for (char& c : text)
    if (is_lower_ascii(c)) c = static_cast<char>(c - 'a' + 'A');
  return text;
}

/// Runs of letters, as parts of the text.
std::vector<std::string_view> words_of(std::string_view text) {
  static const CodePointMap letters(CodePointSet::category("L").united(CodePointSet::category("M")));
  std::vector<std::string_view> words;
  const char *at = text.data(), *const end = at + text.size(), *start = nullptr;
  while (at < end) {
    const char* const here = at;
    if (letters[next_code_point(at)] != 0) {
      if (start == nullptr) start = here;
    } else if (start != nullptr) {
      words.emplace_back(start, here);
      start = nullptr;
    }
  }
  if (start != nullptr) words.emplace_back(start, end);
  return words;
}

bool is_title(std::string_view word) {
  static const std::set<std::string_view> titles{"Mr",   "Mrs",  "Messrs", "Miss", "Ms",    "Dr",   "Sir",  "Lady",
                                                 "Lord", "St",   "Saint",  "Mme",  "Mlle",  "Capt", "Col",  "Gen",
                                                 "Rev",  "Prof", "Madam",  "Aunt", "Uncle", "Hon",  "Count"};
  return titles.contains(word);
}

/// Whether the word stands inside a sentence: behind a word or a comma, behind a title's full stop, or as a part of
/// one ("O'Brien").
bool inside_sentence(const std::vector<std::string_view>& words, std::size_t w) {
  if (w == 0) return false;
  const char* const before = words[w - 1].data() + words[w - 1].size();
  std::string_view between(before, static_cast<std::size_t>(words[w].data() - before));
  if (between == "'" || between == "\u2019" || between == "-") return true;
  if (between.starts_with('.') && is_title(words[w - 1])) between.remove_prefix(1);
  if (between.starts_with(',')) between.remove_prefix(1);
  return !between.empty() && between.find_first_not_of(" \n") == between.npos && between.find("\n\n") == between.npos;
}

}  // namespace

SwappedNames swap_names(std::string_view text, std::uint64_t seed) {
  const std::vector<std::string_view> words = words_of(text);
  const std::set<std::string_view> as_written(words.begin(), words.end());
  std::set<std::string> lower;
  for (const std::string_view word : as_written) lower.insert(lower_ascii(word));
  struct Uses {
    int all = 0;
    bool inside = false;
  };
  std::map<std::string_view, Uses> uses;
  for (std::size_t w = 0; w < words.size(); ++w) {
    const std::string_view word = words[w];
    if (word.size() < 2 || !is_upper_ascii(word[0]) || is_upper_ascii(word[1]) || is_title(word)) continue;
    Uses& use = uses[word];
    ++use.all;
    use.inside = use.inside || inside_sentence(words, w);
  }

  std::mt19937_64 random(seed);
  InventedNames invented("", random);
  SwappedNames swapped;
  const char* copied = text.data();
  const auto put = [&](std::string_view word, std::string_view name) {
    swapped.text.append(copied, word.data());
    swapped.text += name;
    copied = word.data() + word.size();
  };
  std::map<std::string, std::string> capitals;
  const auto name_of = [&](std::string_view word) -> const std::string* {
    const auto use = uses.find(word);
    if (use == uses.end() || use->second.all < 2 || !use->second.inside || as_written.contains(lower_ascii(word)))
      return nullptr;
    std::string& name = swapped.names[std::string(word)];
    while (name.empty() || lower.contains(lower_ascii(name))) name = invented.word();
    return &name;
  };
  for (const std::string_view word : words)
    if (const std::string* name = name_of(word)) capitals[upper_ascii(std::string(word))] = upper_ascii(*name);
  for (const std::string_view word : words) {
    if (const std::string* name = name_of(word))
      put(word, *name);
    else if (const auto found = capitals.find(std::string(word)); found != capitals.end())
      put(word, found->second);
  }
  swapped.text.append(copied, text.data() + text.size());
  return swapped;
}

}  // namespace templora
