#include "text/split_pattern.h"

#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <map>

#include "core/error.h"
#include "text/code_points.h"
#include "text/pattern_syntax.h"

namespace templora {

struct SplitPatternDeleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
};

namespace {

using Code = std::unique_ptr<pcre2_code, SplitPatternDeleter>;

// A match of a tokenizer's pattern ends within a word or a run of spaces. It is first looked for in a short stretch and
// with few steps; where that is not enough, in a longer one, and what that may cost is taken off a budget for the text.
constexpr std::size_t kFirstStretch = 4096, kStretchGrowth = 16;
constexpr std::uint32_t kFirstSteps = 4000, kStepGrowth = 16, kMostSteps = 64'000'000;
constexpr std::size_t kBudget = 100'000'000, kBudgetPerCharacter = 256;

/// What matching needs beside the pattern, one for each thread.
struct Scratch {
  pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(std::size_t{32} << 10, std::size_t{4} << 20, nullptr);
  std::string numbers;

  Scratch() {
    if (data == nullptr || context == nullptr) throw Error(Exit::resources, "no memory for matching a pattern");
    if (stack != nullptr) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~Scratch() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

/// Numbers characters so that two have the same number if they are in the same sets; from 1 on.
struct Numbering {
  std::vector<char32_t> starts;
  std::vector<std::uint8_t> numbers;
  std::vector<std::string> of_set;  // the numbers of each set's characters
};

Numbering number_characters(const std::vector<CodePointSet>& sets, const std::string& where) {
  constexpr std::size_t kMostNumbers = 250;
  std::map<char32_t, std::vector<std::size_t>> changes{{0, {}}};
  for (std::size_t i = 0; i < sets.size(); ++i) {
    for (const auto& [first, past] : sets[i].runs()) {
      changes[first].push_back(i);
      if (past < CodePointSet::kPast) changes[past].push_back(i);
    }
  }
  Numbering out;
  out.of_set.resize(sets.size());
  std::map<std::vector<bool>, std::uint8_t> known;
  std::vector<bool> inside(sets.size());
  for (const auto& [start, changed] : changes) {
    for (const std::size_t i : changed) inside[i] = !inside[i];
    const auto [found, fresh] = known.emplace(inside, static_cast<std::uint8_t>(known.size() + 1));
    if (fresh && known.size() > kMostNumbers) {
      throw Error(Exit::bad_input, fmt::format("{}: got a pattern that tells more than {} kinds of characters apart, "
                                               "wanted fewer; use another tokenizer",
                                               where, kMostNumbers));
    }
    for (std::size_t i = 0; fresh && i < sets.size(); ++i) {
      if (inside[i]) out.of_set[i] += static_cast<char>(found->second);
    }
    out.starts.push_back(start);
    out.numbers.push_back(found->second);
  }
  return out;
}

/// A class of those bytes in PCRE2's syntax.
std::string byte_class(const std::string& bytes) {
  if (bytes.empty()) return "(?:(?!))";
  std::string out = "[";
  for (const char byte : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  return out + "]";
}

Code compile(const std::string& pattern, std::uint32_t options, const std::string& where) {
  int error = 0;
  PCRE2_SIZE at = 0;
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), options, &error, &at, nullptr));
  if (code != nullptr) return code;
  std::array<PCRE2_UCHAR, 256> message{};
  pcre2_get_error_message(error, message.data(), message.size());
  throw Error(Exit::bad_input, fmt::format("{}: got a pattern that PCRE2 refuses ({}), wanted one that it takes; use "
                                           "another tokenizer",
                                           where, reinterpret_cast<const char*>(message.data())));
}

}  // namespace

struct SplitPattern::Impl {
  std::string where;
  CodePointMap numbers;
  std::array<char, 128> ascii{};
  std::unique_ptr<pcre2_code, SplitPatternDeleter> code;
  std::array<bool, 256> may_start{};  // a match, by the number of its first character
  bool may_be_empty = false;

  void number(std::string_view text, std::string& out) const;
  bool match(Scratch& scratch, std::size_t at, std::size_t& budget, std::size_t& end) const;
  [[noreturn]] void give_up(std::size_t at) const;
};

void SplitPattern::Impl::number(std::string_view text, std::string& out) const {
  out.resize(text.size());
  char* to = out.data();
  const char* const end = text.data() + text.size();
  for (const char* at = text.data(); at < end;) {
    if (static_cast<unsigned char>(*at) < 0x80)
      *to++ = ascii[static_cast<unsigned char>(*at++)];
    else
      *to++ = static_cast<char>(numbers[next_code_point(at)]);
  }
  out.resize(std::size_t(to - out.data()));
}

void SplitPattern::Impl::give_up(std::size_t at) const {
  throw Error(Exit::bad_input,
              fmt::format("{}: the pattern takes too many steps at character {} of a text; wanted one that "
                          "splits text into words; use another tokenizer",
                          where, at));
}

/// Whether the pattern matches right at `at` of the numbered text, and where that match ends.
bool SplitPattern::Impl::match(Scratch& scratch, std::size_t at, std::size_t& budget, std::size_t& end) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(scratch.numbers.data());
  const std::size_t size = scratch.numbers.size();
  std::size_t stretch = kFirstStretch;
  std::uint32_t steps = kFirstSteps;
  std::uint32_t options = 0;
  for (;;) {
    const std::size_t length = size - at > stretch ? at + stretch : size;
    const std::uint32_t partial = length < size ? PCRE2_PARTIAL_HARD : 0;
    pcre2_set_match_limit(scratch.context, steps);
    const int found = pcre2_match(code.get(), subject, length, at, options | partial, scratch.data, scratch.context);
    if (found > 0) {
      const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(scratch.data);
      end = bounds[1];
      return true;
    }
    if (found == PCRE2_ERROR_NOMATCH) return false;
    std::size_t cost = 0;
    if (found == PCRE2_ERROR_PARTIAL) {
      stretch *= kStretchGrowth;
      cost = std::min(stretch, size - at);
    } else if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      options = PCRE2_NO_JIT;  // slower, with its memory on the heap
      cost = kMostSteps / kStepGrowth;
    } else if (found == PCRE2_ERROR_MATCHLIMIT && steps < kMostSteps) {
      steps *= kStepGrowth;
      cost = steps;
    } else {
      give_up(at);
    }
    if (cost > budget) give_up(at);
    budget -= cost;
  }
}

SplitPattern::SplitPattern(std::string_view pattern, const std::string& where) : impl_(std::make_unique<Impl>()) {
  const PatternItems read = read_pattern(pattern, where);
  const Numbering numbering = number_characters(read.sets, where);
  std::string bytes;
  for (const PatternItems::Item& item : read.items)
    bytes += item.set < 0 ? item.syntax : byte_class(numbering.of_set[static_cast<std::size_t>(item.set)]);
  Impl& self = *impl_;
  self.where = where;
  self.numbers = CodePointMap(numbering.starts, numbering.numbers);
  for (char32_t c = 0; c < self.ascii.size(); ++c) self.ascii[c] = static_cast<char>(self.numbers[c]);

  const Code free = compile(bytes, PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, where);
  std::uint32_t empty = 0, first_type = 0, first_unit = 0;
  const std::uint8_t* bitmap = nullptr;
  pcre2_pattern_info(free.get(), PCRE2_INFO_MATCHEMPTY, &empty);
  pcre2_pattern_info(free.get(), PCRE2_INFO_FIRSTCODETYPE, &first_type);
  pcre2_pattern_info(free.get(), PCRE2_INFO_FIRSTCODEUNIT, &first_unit);
  pcre2_pattern_info(free.get(), PCRE2_INFO_FIRSTBITMAP, &bitmap);
  self.may_be_empty = empty != 0;
  for (std::size_t i = 0; i < self.may_start.size(); ++i) {
    const bool by_unit = first_type == 1 && i == first_unit;
    const bool by_bitmap = first_type != 1 && (bitmap == nullptr || (bitmap[i / 8] >> i % 8 & 1) != 0);
    self.may_start[i] = self.may_be_empty || by_unit || by_bitmap;
  }
  self.code = compile(bytes, PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_ANCHORED, where);
  // Where there is no JIT, PCRE2 matches without.
  pcre2_jit_compile(self.code.get(), PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD);
}

SplitPattern::~SplitPattern() = default;
SplitPattern::SplitPattern(SplitPattern&&) noexcept = default;
SplitPattern& SplitPattern::operator=(SplitPattern&&) noexcept = default;

void SplitPattern::split(std::string_view text, std::size_t offset, std::vector<Span>& out) const {
  thread_local Scratch scratch;
  const Impl& self = *impl_;
  self.number(text, scratch.numbers);
  const std::string& numbers = scratch.numbers;
  std::size_t budget = kBudget + kBudgetPerCharacter * numbers.size();
  std::size_t bytes = 0, counted = 0;  // where the text's character `counted` starts
  const auto byte_offset = [&](std::size_t character) {
    if (numbers.size() == text.size()) return character;
    for (; counted < character; ++counted) {
      const auto lead = static_cast<unsigned char>(text[bytes]);
      bytes += lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    }
    return bytes;
  };
  std::size_t done = 0;  // byte up to which spans were written
  const auto write = [&](std::size_t end, bool match) {
    out.push_back({offset + done, offset + end, match});
    done = end;
  };
  std::size_t last_end = std::string::npos;  // of the last match
  for (std::size_t at = 0; at <= numbers.size();) {
    if (at == numbers.size() && !self.may_be_empty) break;
    std::size_t end = at;
    const bool possible = at == numbers.size() || self.may_start[static_cast<unsigned char>(numbers[at])];
    // An empty match right behind another match does not count.
    if (!possible || !self.match(scratch, at, budget, end) || (end == at && last_end == at)) {
      ++at;
      continue;
    }
    if (const std::size_t begin = byte_offset(at); begin > done) write(begin, false);
    write(byte_offset(end), true);
    last_end = end;
    at = end;
  }
  if (done < text.size()) write(text.size(), false);
}

}  // namespace templora
