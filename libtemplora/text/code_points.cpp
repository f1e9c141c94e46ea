#include "text/code_points.h"

#include <algorithm>
#include <map>
#include <string>

#include "text/tokenizer_tables.h"

namespace templora {
namespace {

/// Bytes of the longest start of a well-formed character that text which starts with none starts with; at least 1.
std::size_t broken_bytes(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  const std::size_t whole = lead < 0xC2 || lead > 0xF4 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::size_t length = 1;
  for (; length < whole && length < text.size(); ++length) {
    const bool second = length == 1;
    const unsigned char least = second && lead == 0xE0 ? 0xA0 : second && lead == 0xF0 ? 0x90 : 0x80;
    const unsigned char most = second && lead == 0xED ? 0x9F : second && lead == 0xF4 ? 0x8F : 0xBF;
    if (byte(length) < least || byte(length) > most) break;
  }
  return length;
}

}  // namespace

CodePointSet::CodePointSet(std::vector<Run> runs) {
  std::sort(runs.begin(), runs.end());
  for (const auto& [first, past] : runs) {
    if (first >= past) continue;
    if (!runs_.empty() && first <= runs_.back().second)
      runs_.back().second = std::max(runs_.back().second, past);
    else
      runs_.emplace_back(first, past);
  }
}

CodePointSet::CodePointSet(std::span<const char32_t> edges) {
  for (std::size_t i = 0; i + 1 < edges.size(); i += 2) runs_.emplace_back(edges[i], edges[i + 1]);
}

CodePointSet CodePointSet::category(std::string_view name) {
  constexpr std::string_view names = kCategoryNames;
  std::vector<Run> runs;
  for (std::size_t i = 0; i < kCategoryRuns.size(); ++i) {
    if (names.substr(kCategoryRuns[i].value * std::size_t{2}, 2).starts_with(name) && !name.empty())
      runs.emplace_back(kCategoryRuns[i].first, i + 1 < kCategoryRuns.size() ? kCategoryRuns[i + 1].first : kPast);
  }
  return CodePointSet(std::move(runs));
}

CodePointSet CodePointSet::complement() const {
  CodePointSet out;
  char32_t done = 0;
  for (const auto& [first, past] : runs_) {
    if (first > done) out.runs_.emplace_back(done, first);
    done = past;
  }
  if (done < kPast) out.runs_.emplace_back(done, kPast);
  return out;
}

CodePointSet CodePointSet::united(const CodePointSet& other) const {
  std::vector<Run> runs = runs_;
  runs.insert(runs.end(), other.runs_.begin(), other.runs_.end());
  return CodePointSet(std::move(runs));
}

bool CodePointSet::contains(char32_t value) const {
  const auto behind = std::upper_bound(runs_.begin(), runs_.end(), Run{value, kPast + 1});
  return behind != runs_.begin() && value < std::prev(behind)->second;
}

CodePointSet word_characters(WordRule rule) {
  CodePointSet word(kWordSymbols);
  for (const char* category : {"L", "M", "Nd", "Nl", "Pc"}) word = word.united(CodePointSet::category(category));
  if (rule == WordRule::pattern) return word.united(CodePointSet(kPatternWordMore));
  return rule == WordRule::added_token ? word.united(CodePointSet(kAddedWordMore)) : word;
}

CodePointMap::CodePointMap(const std::vector<char32_t>& starts, const std::vector<std::uint8_t>& values) {
  std::map<std::array<std::uint8_t, 256>, std::uint16_t> known;
  std::size_t run = 0;
  std::array<std::uint8_t, 256> page{};
  for (char32_t high = 0; high < page_of_.size(); ++high) {
    for (char32_t low = 0; low < 256; ++low) {
      while (run + 1 < starts.size() && starts[run + 1] <= (high << 8 | low)) ++run;
      page[low] = values[run];
    }
    const auto [found, fresh] = known.emplace(page, static_cast<std::uint16_t>(pages_.size()));
    if (fresh) pages_.push_back(page);
    page_of_[high] = found->second;
  }
}

CodePointMap::CodePointMap(const CodePointSet& set) {
  std::vector<char32_t> starts{0};
  std::vector<std::uint8_t> values{0};
  for (const auto& [first, past] : set.runs()) {
    starts.insert(starts.end(), {first, past});
    values.insert(values.end(), {1, 0});
  }
  *this = CodePointMap(starts, values);
}

std::string utf8_with_replacements(std::string_view bytes) {
  std::string out;
  for (std::size_t wrong = utf8_error(bytes); wrong != kValidUtf8; wrong = utf8_error(bytes)) {
    out.append(bytes.substr(0, wrong)).append("\xEF\xBF\xBD");
    bytes.remove_prefix(wrong + broken_bytes(bytes.substr(wrong)));
  }
  return out.append(bytes);
}

}  // namespace templora
