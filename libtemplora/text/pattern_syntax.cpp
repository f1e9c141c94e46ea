#include "text/pattern_syntax.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "text/tokenizer_tables.h"

namespace templora {
namespace {

constexpr std::size_t kMostCharacters = 20000;
constexpr std::size_t kDeepest = 64;
constexpr int kMostRepeats = 1000;

CodePointSet range(char32_t first, char32_t last) {
  return CodePointSet(std::vector<CodePointSet::Run>{{first, last + 1}});
}

bool is_letter(char32_t c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Both cases of the letters a to z that are in the set, and the two other characters that fold to one of them.
CodePointSet caseless(const CodePointSet& set) {
  CodePointSet out = set;
  for (char32_t lower = 'a'; lower <= 'z'; ++lower) {
    const char32_t upper = lower - 'a' + 'A';
    const char32_t third = lower == 's' ? 0x17F : lower == 'k' ? 0x212A : lower;
    if (!set.contains(lower) && !set.contains(upper) && !set.contains(third)) continue;
    for (const char32_t one : {lower, upper, third}) out = out.united(CodePointSet::of(one));
  }
  return out;
}

class PatternReader {
 public:
  PatternReader(std::string_view pattern, const std::string& where) : where_(where), pattern_(pattern) {
    for (const char* at = pattern.data(); at < pattern.data() + pattern.size();) text_ += next_code_point(at);
    if (text_.size() > kMostCharacters) {
      throw Error(Exit::bad_input, fmt::format("{}: got a pattern of {} characters, wanted at most {}", where,
                                               text_.size(), kMostCharacters));
    }
  }

  PatternItems read() {
    alternatives(false, 0);
    if (at_ < text_.size()) refuse(")", "a \"(\" before it");
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const std::string& wanted) const {
    throw Error(Exit::bad_input, fmt::format("{}: \"{}\": got {} at character {}, wanted {}", where_,
                                             printable(pattern_, 80), printable(what, 40), at_ + 1, wanted));
  }
  [[noreturn]] void unknown(const std::string& what) const { refuse(what, "a form that is supported"); }

  bool more() const { return at_ < text_.size(); }
  char32_t peek(std::size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : 0; }
  bool take(std::u32string_view wanted) {
    if (std::u32string_view(text_).substr(at_, wanted.size()) != wanted) return false;
    at_ += wanted.size();
    return true;
  }
  static std::string utf8(std::u32string_view points) {
    std::string out;
    for (const char32_t point : points) append_utf8(out, point);
    return out;
  }

  void syntax(std::string text) { out_.items.push_back({std::move(text), -1}); }
  void set(CodePointSet members) {
    const auto same = [&](const CodePointSet& other) { return other.runs() == members.runs(); };
    const auto known = std::find_if(out_.sets.begin(), out_.sets.end(), same);
    out_.items.push_back({"", static_cast<int>(known - out_.sets.begin())});
    if (known == out_.sets.end()) out_.sets.push_back(std::move(members));
  }
  CodePointSet folded(CodePointSet members, bool fold) const {
    if (!fold) return members;
    if (!members.empty() && members.runs().back().second > 0x80)
      refuse("characters beyond ASCII in a group that ignores case", "only ASCII there");
    return caseless(members);
  }

  void alternatives(bool fold, std::size_t depth) {
    if (depth > kDeepest) refuse("groups inside groups", fmt::format("at most {} levels", kDeepest));
    if (take(U"(?i)")) fold = true;
    char32_t before = 0;  // the letter that a caseless one follows
    while (more() && peek() != ')') {
      if (take(U"|")) {
        syntax("|");
        before = 0;
        continue;
      }
      const std::size_t first = at_;
      const bool quantified = atom(fold, depth);
      const char32_t letter = fold && at_ == first + 1 && is_letter(text_[first]) ? text_[first] | 0x20 : 0;
      if (letter != 0 && before != 0) check_pair(before, letter);
      before = letter;
      quantifier(quantified);
    }
  }

  /// Oniguruma takes one character (a ligature, a sharp s) for two letters where case is ignored.
  void check_pair(char32_t first, char32_t second) const {
    const std::u32string pair{first, second};
    for (const std::u32string_view folded : {U"ss", U"ff", U"fi", U"fl", U"st"}) {
      if (pair == folded) refuse("\"" + utf8(pair) + "\" in a group that ignores case", "other letters");
    }
  }

  /// One character, class, group or assertion; returns whether a quantifier may follow.
  bool atom(bool fold, std::size_t depth) {
    const char32_t c = peek();
    if (c == '(') return group(fold, depth);
    if (c == '[') return ++at_, set(bracket(fold, depth)), true;
    if (c == '\\') return escape(fold);
    if (c == '*' || c == '+' || c == '?') refuse(utf8(text_.substr(at_, 1)), "something before it to repeat");
    if (c == '{') unknown("{ without a backslash");
    ++at_;
    if (c == '.') return set(CodePointSet::of('\n').complement()), true;
    if (c == '^') return assertion("(?:\\A|(?<=", CodePointSet::of('\n'), ")(?!\\z))"), false;
    if (c == '$') return assertion("(?!", CodePointSet::of('\n').complement(), ")"), false;
    set(folded(CodePointSet::of(c), fold));
    return true;
  }

  void assertion(const char* head, CodePointSet members, const char* tail) {
    syntax(head);
    set(std::move(members));
    syntax(tail);
  }

  bool group(bool fold, std::size_t depth) {
    constexpr std::pair<std::u32string_view, const char*> kHeads[] = {
        {U"(?:", "(?:"}, {U"(?=", "(?="}, {U"(?!", "(?!"}, {U"(?<=", "(?<="}, {U"(?<!", "(?<!"}, {U"(?>", "(?>"}};
    const char* head = nullptr;
    for (const auto& [start, same] : kHeads) {
      if (head == nullptr && take(start)) head = same;
    }
    bool inner = fold;
    if (head == nullptr && take(U"(?i:")) head = "(?:", inner = true;
    if (head == nullptr && take(U"(?-i:")) head = "(?:", inner = false;
    if (head == nullptr && peek(1) == '?') unknown(utf8(text_.substr(at_, 3)));
    if (head == nullptr) ++at_, head = "(?:";  // a group that is counted: nothing refers to it
    const std::string start = head;
    syntax(start);
    alternatives(inner, depth + 1);
    if (!take(U")")) refuse("the end", "a \")\"");
    syntax(")");
    return start == "(?:" || start == "(?>";
  }

  void quantifier(bool allowed) {
    std::string text;
    if (peek() == '*' || peek() == '+' || peek() == '?') {
      text = static_cast<char>(text_[at_++]);
      if (peek() == '?' || peek() == '+') text += static_cast<char>(text_[at_++]);
    } else if (peek() == '{') {
      ++at_;
      const std::optional<int> least = number();
      const bool open = take(U",");
      const std::optional<int> most = open ? number() : least;
      if (!take(U"}") || (!least && !most) || (most && least && *most < *least)) unknown("{ without a backslash");
      text = fmt::format("{{{},{}}}", least.value_or(0), most ? std::to_string(*most) : "");
      // Behind an interval, Oniguruma takes "+" for a second quantifier, and {n}? for "n times or not at all".
      if (peek() == '?' && open) text += static_cast<char>(text_[at_++]);
    }
    if (text.empty()) return;
    if (!allowed) refuse("a quantifier", "none behind an assertion");
    const char32_t next = peek();
    if (next == '*' || next == '+' || next == '?' || next == '{') refuse("two quantifiers", "one");
    syntax(text);
  }

  std::optional<int> number() {
    int value = 0;
    const std::size_t first = at_;
    while (peek() >= '0' && peek() <= '9' && value <= kMostRepeats) value = value * 10 + int(text_[at_++] - '0');
    if (value > kMostRepeats) refuse("a longer repetition", fmt::format("at most {} times", kMostRepeats));
    return at_ == first ? std::nullopt : std::optional(value);
  }

  bool escape(bool fold) {
    const char32_t c = peek(1);
    const auto skip = [&](bool result) { return at_ += 2, result; };
    if (c == 'A' || c == 'z') return syntax(c == 'A' ? "\\A" : "\\z"), skip(false);
    if (c == 'Z') return assertion("(?=", CodePointSet::of('\n'), "?\\z)"), skip(false);
    if (c == 'b' || c == 'B') {
      const CodePointSet word = word_characters(WordRule::pattern);
      const std::string_view behind = c == 'b' ? ")(?!" : ")(?=", other = c == 'b' ? ")(?=" : ")(?!";
      syntax("(?:(?<=");
      set(word);
      assertion(std::string(behind).c_str(), word, ")|(?<!");
      set(word);
      assertion(std::string(other).c_str(), word, "))");
      return skip(false);
    }
    if (const auto members = class_escape(false)) return set(fold ? checked_closed(*members) : *members), true;
    set(folded(CodePointSet::of(character_escape()), fold));
    return true;
  }

  /// A class that holds both cases of whatever letter it holds may stand where case is ignored.
  CodePointSet checked_closed(const CodePointSet& members) const {
    const std::vector<CodePointSet::Run> space = CodePointSet(kPatternSpace).runs();
    if (members.runs() != space && members.runs() != CodePointSet(kPatternSpace).complement().runs())
      refuse("a class in a group that ignores case", "only \\s and \\S there");
    return members;
  }

  /// \d, \S, \p{L} and the like, if that is what stands here. \w is another set inside brackets.
  std::optional<CodePointSet> class_escape(bool inside) {
    const char32_t c = peek(1);
    const char32_t lower = c | 0x20;
    CodePointSet members;
    if (lower == 's') members = CodePointSet(kPatternSpace);
    if (lower == 'w') members = word_characters(inside ? WordRule::pattern_in_class : WordRule::pattern);
    if (lower == 'd') members = CodePointSet::category("Nd");
    if (lower == 'h') members = range('0', '9').united(range('a', 'f')).united(range('A', 'F'));
    if (lower == 'p') return property();
    if (members.empty() || c > 0x7F) return std::nullopt;
    at_ += 2;
    return c == lower ? members : members.complement();
  }

  CodePointSet property() {
    const std::size_t first = at_;
    const bool negated = peek(1) == 'P';
    at_ += 2;
    const std::size_t close = text_.find(U'}', at_);
    if (peek() != '{' || close == std::u32string::npos) unknown(utf8(text_.substr(first, 4)));
    std::string name = utf8(std::u32string_view(text_).substr(at_ + 1, close - at_ - 1));
    const std::string whole = utf8(std::u32string_view(text_).substr(first, close + 1 - first));
    const bool again = !name.empty() && name[0] == '^';
    if (again) name.erase(0, 1);
    CodePointSet members = name == "Han" ? CodePointSet(kPatternHan) : CodePointSet();
    constexpr std::string_view kMajors = "LMNPSZC";
    if ((name.size() == 1 && kMajors.find(name) != std::string_view::npos) || name.size() == 2)
      members = CodePointSet::category(name);
    if (members.empty()) refuse(whole, "a general category or Han");
    at_ = close + 1;
    return negated == again ? members : members.complement();
  }

  char32_t character_escape() {
    const char32_t c = peek(1);
    constexpr std::pair<char, char32_t> kNamed[] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'},
                                                    {'v', '\v'}, {'a', '\a'}, {'e', 0x1B}};
    for (const auto& [name, value] : kNamed) {
      if (c == static_cast<char32_t>(name)) return at_ += 2, value;
    }
    if (c == 'x' || c == 'u') return numbered();
    if (c == 0 || c > 0x7F || is_letter(c) || (c >= '0' && c <= '9')) unknown(utf8(text_.substr(at_, 2)));
    at_ += 2;
    return c;
  }

  char32_t numbered() {
    const std::size_t first = at_;
    const bool braces = peek(1) == 'x' && peek(2) == '{';
    const std::size_t most = braces ? 6 : peek(1) == 'u' ? 4 : 2;
    at_ += braces ? 3 : 2;
    char32_t value = 0;
    std::size_t digits = 0;
    for (; digits < most; ++digits, ++at_) {
      const char32_t c = peek() | (is_letter(peek()) ? 0x20 : 0);
      if (c >= '0' && c <= '9')
        value = value * 16 + (c - '0');
      else if (c >= 'a' && c <= 'f')
        value = value * 16 + (c - 'a' + 10);
      else
        break;
    }
    // \x80 and above are bytes, not characters, to Oniguruma.
    const bool whole = braces ? digits > 0 && take(U"}") : digits == most && (most == 4 || value < 0x80);
    if (!whole || value >= CodePointSet::kPast || (value >= 0xD800 && value < 0xE000)) {
      at_ = first;
      unknown(utf8(text_.substr(first, 8)));
    }
    return value;
  }

  /// The members of a class whose "[" was read.
  CodePointSet bracket(bool fold, std::size_t depth) {
    if (depth > kDeepest) refuse("classes inside classes", fmt::format("at most {} levels", kDeepest));
    const bool negated = take(U"^");
    if (peek() == ']') unknown("] as the first character of a class");
    CodePointSet plain, closed;
    while (!take(U"]")) {
      if (!more()) refuse("the end", "a \"]\"");
      if (take(U"&&")) unknown("&& in a class");
      if (peek() == '[') {
        if (peek(1) == ':') unknown("[: in a class");
        ++at_;
        closed = closed.united(bracket(fold, depth + 1));
        continue;
      }
      const std::size_t here = at_;
      if (peek() == '\\') {
        if (const auto members = class_escape(true)) {
          if (peek() == '-' && peek(1) != ']') unknown("a range that starts with a class");
          closed = closed.united(fold ? checked_closed(*members) : *members);
          continue;
        }
      }
      const char32_t first = class_character();
      if (peek() != '-' || peek(1) == ']' || (first == '-' && here + 1 == at_)) {
        plain = plain.united(CodePointSet::of(first));
        continue;
      }
      ++at_;
      if (peek() == '[' || (peek() == '\\' && class_escape(true))) unknown("a range that ends with a class");
      const char32_t last = class_character();
      if (last < first) refuse("a range that falls", "its lower end first");
      plain = plain.united(range(first, last));
    }
    const CodePointSet members = folded(plain, fold).united(closed);
    return negated ? members.complement() : members;
  }

  char32_t class_character() {
    if (!more()) refuse("the end", "a \"]\"");
    if (peek() == '\\' && peek(1) == 'b') return at_ += 2, 0x08;
    if (peek() == '\\') return character_escape();
    return text_[at_++];
  }

  const std::string& where_;
  std::string_view pattern_;
  std::u32string text_;
  std::size_t at_ = 0;
  PatternItems out_;
};

}  // namespace

PatternItems read_pattern(std::string_view pattern, const std::string& where) {
  return PatternReader(pattern, where).read();
}

}  // namespace templora
