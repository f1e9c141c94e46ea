#include "text/nfc.h"

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "text/code_points.h"
#include "text/tokenizer_tables.h"

namespace templora {
namespace {

// Hangul syllables are composed by arithmetic (The Unicode Standard, section 3.12).
constexpr char32_t kSyllables = 0xAC00, kLead = 0x1100, kVowel = 0x1161, kTail = 0x11A7;
constexpr char32_t kLeads = 19, kVowels = 21, kTails = 28, kSyllableCount = kLeads * kVowels * kTails;

struct Tables {
  CodePointMap mark_class;
  CodePointMap takes_part;  // may change, or change what stands beside it
  std::unordered_map<char32_t, const Decomposition*> apart;
  std::unordered_map<std::uint64_t, char32_t> together;

  Tables() {
    std::vector<char32_t> starts;
    std::vector<std::uint8_t> values;
    for (const CodePointRun& run : kMarkClassRuns) {
      starts.push_back(run.first);
      values.push_back(run.value);
    }
    mark_class = CodePointMap(starts, values);
    std::vector<CodePointSet::Run> active{{kVowel, kVowel + kVowels}, {kTail, kTail + kTails}};
    for (std::size_t i = 0; i < starts.size(); ++i) {
      if (values[i] != 0) active.emplace_back(starts[i], i + 1 < starts.size() ? starts[i + 1] : CodePointSet::kPast);
    }
    for (const Decomposition& entry : kDecompositions) {
      apart.emplace(entry.code, &entry);
      if (!entry.composes) {
        active.emplace_back(entry.code, entry.code + 1);
        continue;
      }
      together.emplace(std::uint64_t{entry.first} << 32 | entry.second, entry.code);
      active.emplace_back(entry.second, entry.second + 1);
    }
    takes_part = CodePointMap(CodePointSet(std::move(active)));
  }

  char32_t composed(char32_t first, char32_t second) const {
    if (first >= kLead && first < kLead + kLeads && second >= kVowel && second < kVowel + kVowels)
      return kSyllables + ((first - kLead) * kVowels + second - kVowel) * kTails;
    if (first >= kSyllables && first < kSyllables + kSyllableCount && (first - kSyllables) % kTails == 0 &&
        second > kTail && second < kTail + kTails)
      return first + second - kTail;
    const auto found = together.find(std::uint64_t{first} << 32 | second);
    return found == together.end() ? 0 : found->second;
  }

  void append_apart(std::u32string& out, char32_t value) const {
    if (value >= kSyllables && value < kSyllables + kSyllableCount) {
      const char32_t index = value - kSyllables;
      out += kLead + index / (kVowels * kTails);
      out += kVowel + index % (kVowels * kTails) / kTails;
      if (index % kTails != 0) out += kTail + index % kTails;
      return;
    }
    const auto found = apart.find(value);
    if (found == apart.end()) {
      out += value;
      return;
    }
    append_apart(out, found->second->first);
    if (found->second->second != 0) append_apart(out, found->second->second);
  }

  std::string normal(std::string_view text) const;
};

const Tables& tables() {
  static const Tables instance;
  return instance;
}

std::string Tables::normal(std::string_view text) const {
  std::u32string points;
  for (const char* at = text.data(); at < text.data() + text.size();) append_apart(points, next_code_point(at));
  for (std::size_t i = 0; i < points.size();) {  // marks between two other characters, by their classes
    std::size_t end = i + 1;
    if (mark_class[points[i]] != 0) {
      while (end < points.size() && mark_class[points[end]] != 0) ++end;
      std::stable_sort(points.begin() + std::ptrdiff_t(i), points.begin() + std::ptrdiff_t(end),
                       [&](char32_t a, char32_t b) { return mark_class[a] < mark_class[b]; });
    }
    i = end;
  }
  std::u32string out;
  std::size_t starter = std::u32string::npos;
  std::uint8_t last_class = 0;
  for (const char32_t point : points) {
    const std::uint8_t own = mark_class[point];
    const bool adjacent = starter != std::u32string::npos && starter + 1 == out.size();
    if (starter != std::u32string::npos && (adjacent || (last_class != 0 && last_class < own))) {
      if (const char32_t one = composed(out[starter], point)) {
        out[starter] = one;
        continue;
      }
    }
    if (own == 0) starter = out.size();
    last_class = own;
    out += point;
  }
  std::string bytes;
  for (const char32_t point : out) append_utf8(bytes, point);
  return bytes;
}

}  // namespace

bool surely_nfc(std::string_view text) {
  const Tables& t = tables();
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    if (static_cast<unsigned char>(*at) < 0xCC) {  // up to U+02FF nothing changes, nor changes anything
      ++at;
      continue;
    }
    if (t.takes_part[next_code_point(at)] != 0) return false;
  }
  return true;
}

NfcText nfc(std::string_view text) {
  NfcText out;
  if (surely_nfc(text)) {
    out.text = text;
    return out;
  }
  const Tables& t = tables();
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* copied = begin;  // up to here the output has it
  const char* start = begin;   // of the last character that takes no part
  for (const char* at = begin; at < end;) {
    const char* here = at;
    if (t.takes_part[next_code_point(at)] == 0) {
      start = here;
      continue;
    }
    // A stretch: the character before, and all that follows and takes part.
    while (at < end) {
      const char* next = at;
      if (t.takes_part[next_code_point(next)] == 0) break;
      at = next;
    }
    const std::string_view stretch(start, std::size_t(at - start));
    const std::string normal = t.normal(stretch);
    if (normal != stretch) {
      out.text.append(copied, start);
      const std::size_t from = out.text.size();
      out.text += normal;
      out.changes.push_back({std::size_t(start - begin), std::size_t(at - begin), from, out.text.size()});
      copied = at;
    }
    start = at;
  }
  out.text.append(copied, end);
  return out;
}

}  // namespace templora
