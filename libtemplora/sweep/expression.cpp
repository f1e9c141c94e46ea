#include "sweep/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace templora {

struct Expression::Node {
  std::string op;  // an operator, "min", "max", "literal" or "key"
  std::size_t position = 0;
  Json literal;
  std::string key;
  std::vector<Node> parts;
};

namespace {

using Node = Expression::Node;

constexpr int kDeepest = 64;
constexpr std::size_t kLongest = 2000;  // bytes; bounds the tree of a long sum

[[noreturn]] void refuse(const std::string& where, const std::string& text, std::size_t position,
                         const std::string& what) {
  throw Error(Exit::usage,
              fmt::format("{}: \"{}\", character {}: {}", where, printable(text, 200), position + 1, what));
}

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  Parser(const std::string& text, const std::string& where, std::vector<std::string>& keys)
      : text_(text), where_(where), keys_(keys) {}

  Node whole() {
    Node node = either();
    skip_space();
    if (at_ < text_.size()) fail(fmt::format("got '{}', wanted an operator or the end", rest()));
    return node;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { refuse(where_, text_, at_, what); }
  std::string rest() const { return printable(std::string_view(text_).substr(at_, 12)); }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }

  // Takes one of these operators, longest first in the list; "" where none is there.
  std::string take(std::initializer_list<std::string_view> operators) {
    skip_space();
    for (const std::string_view op : operators) {
      if (std::string_view(text_).substr(at_, op.size()) != op) continue;
      const char next = at_ + op.size() < text_.size() ? text_[at_ + op.size()] : ' ';
      if (is_letter(op[0]) && (is_letter(next) || is_digit(next) || next == '.')) continue;  // a key that begins so
      if (op == "!" && next == '=') continue;
      at_ += op.size();
      return std::string(op);
    }
    return "";
  }

  Node binary(std::string op, std::size_t position, Node left, Node right) const {
    Node node{std::move(op), position, {}, {}, {}};
    node.parts.push_back(std::move(left));
    node.parts.push_back(std::move(right));
    return node;
  }

  Node either() {
    Node left = both();
    for (std::string op; !(op = take({"||", "or"})).empty();) {
      const std::size_t position = at_ - op.size();
      left = binary("||", position, std::move(left), both());
    }
    return left;
  }
  Node both() {
    Node left = negation();
    for (std::string op; !(op = take({"&&", "and"})).empty();) {
      const std::size_t position = at_ - op.size();
      left = binary("&&", position, std::move(left), negation());
    }
    return left;
  }
  Node negation() {
    const std::string op = take({"!", "not"});
    if (op.empty()) return comparison();
    deeper();
    Node node{"!", at_ - op.size(), {}, {}, {}};
    node.parts.push_back(negation());
    --depth_;
    return node;
  }
  Node comparison() {
    Node left = sum();
    const std::string op = take({"==", "!=", "<=", ">=", "<", ">"});
    if (op.empty()) return left;
    const std::size_t position = at_ - op.size();
    Node node = binary(op, position, std::move(left), sum());
    if (!take({"==", "!=", "<=", ">=", "<", ">"}).empty()) {
      --at_;
      fail("got a second comparison, wanted the two joined by &&");
    }
    return node;
  }
  Node sum() {
    Node left = product();
    for (std::string op; !(op = take({"+", "-"})).empty();) {
      const std::size_t position = at_ - 1;
      left = binary(op, position, std::move(left), product());
    }
    return left;
  }
  Node product() {
    Node left = signed_value();
    for (std::string op; !(op = take({"*", "/", "%"})).empty();) {
      const std::size_t position = at_ - 1;
      left = binary(op, position, std::move(left), signed_value());
    }
    return left;
  }
  Node signed_value() {
    if (take({"-"}).empty()) return single();
    deeper();
    Node zero{"literal", at_ - 1, 0, {}, {}};
    const std::size_t position = at_ - 1;
    Node node = binary("-", position, std::move(zero), signed_value());
    --depth_;
    return node;
  }

  Node single() {
    skip_space();
    if (at_ == text_.size()) fail("got the end, wanted a number, a text, a key or (");
    const std::size_t position = at_;
    const char c = text_[at_];
    if (c == '(') return in_parentheses();
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return quoted(c);
    if (!is_letter(c)) fail(fmt::format("got '{}', wanted a number, a text, a key or (", rest()));
    while (at_ < text_.size() && (is_letter(text_[at_]) || is_digit(text_[at_]) || text_[at_] == '.')) ++at_;
    const std::string name = text_.substr(position, at_ - position);
    if (name == "true" || name == "false") return Node{"literal", position, name == "true", {}, {}};
    if (name == "null") return Node{"literal", position, nullptr, {}, {}};
    skip_space();
    if ((name == "min" || name == "max") && at_ < text_.size() && text_[at_] == '(') return call(name, position);
    if (std::find(keys_.begin(), keys_.end(), name) == keys_.end()) keys_.push_back(name);
    return Node{"key", position, {}, name, {}};
  }

  Node in_parentheses() {
    deeper();
    ++at_;
    Node node = either();
    if (take({")"}).empty()) fail("got no ), wanted one");
    --depth_;
    return node;
  }

  Node call(const std::string& name, std::size_t position) {
    deeper();
    ++at_;
    Node node{name, position, {}, {}, {}};
    do node.parts.push_back(sum());
    while (!take({","}).empty());
    if (take({")"}).empty()) fail("got no ), wanted one");
    --depth_;
    return node;
  }

  Node number() {
    const std::size_t position = at_;
    while (at_ < text_.size() &&
           (is_digit(text_[at_]) || is_letter(text_[at_]) || text_[at_] == '.' ||
            ((text_[at_] == '-' || text_[at_] == '+') && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E'))))
      ++at_;
    const std::string digits = text_.substr(position, at_ - position);
    try {
      Json value = parse_json(digits, "number", Exit::usage);
      if (value.is_number()) return Node{"literal", position, value, {}, {}};
    } catch (const Error&) {  // refused below
    }
    at_ = position;
    fail(fmt::format("got '{}', wanted a number of at most 64 bits", printable(digits, 40)));
  }

  Node quoted(char quote) {
    const std::size_t position = at_;
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string::npos) fail("got a text without its closing quote, wanted one");
    at_ = end + 1;
    return Node{"literal", position, text_.substr(position + 1, end - position - 1), {}, {}};
  }

  void deeper() {
    if (++depth_ > kDeepest) fail(fmt::format("got more than {} levels, wanted a simpler expression", kDeepest));
  }

  const std::string &text_, &where_;
  std::vector<std::string>& keys_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

std::string kind_of(const Json& value) {
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a text";
  if (value.is_boolean()) return "true or false";
  return value.is_null() ? "null" : "a list or an object";
}

class Evaluation {
 public:
  Evaluation(const std::string& text, const std::string& where, const Expression::Values& values)
      : text_(text), where_(where), values_(values) {}

  Json of(const Node& node) const {
    const std::string& op = node.op;
    if (op == "literal") return node.literal;
    if (op == "key") return values_(node.key);
    if (op == "!") return !truth(node.parts[0]);
    if (op == "&&") return truth(node.parts[0]) && truth(node.parts[1]);
    if (op == "||") return truth(node.parts[0]) || truth(node.parts[1]);
    if (op == "min" || op == "max") {
      Json best = number(node.parts[0]);
      for (std::size_t i = 1; i < node.parts.size(); ++i) {
        const Json next = number(node.parts[i]);
        if (op == "min" ? less(next, best) : less(best, next)) best = next;
      }
      return best;
    }
    if (op == "==" || op == "!=") return equal(node) == (op == "==");
    const Json left = number(node.parts[0]), right = number(node.parts[1]);
    if (op == "<") return less(left, right);
    if (op == ">") return less(right, left);
    if (op == "<=") return !less(right, left);
    if (op == ">=") return !less(left, right);
    return arithmetic(node, left, right);
  }

  bool truth(const Node& node) const {
    const Json value = of(node);
    if (!value.is_boolean()) fail(node, fmt::format("got {}, wanted true or false", kind_of(value)));
    return value.get<bool>();
  }

 private:
  [[noreturn]] void fail(const Node& node, const std::string& what) const {
    const std::string key = node.op == "key" ? node.key + ": " : "";
    refuse(where_, text_, node.position, key + what);
  }

  Json number(const Node& node) const {
    const Json value = of(node);
    if (value.is_null())
      fail(node, "has no value of its own (null), wanted a number; give the key one in base, axes, zip or set");
    if (!value.is_number()) fail(node, fmt::format("got {}, wanted a number", kind_of(value)));
    return value;
  }

  static bool less(const Json& a, const Json& b) {
    if (a.is_number_integer() && b.is_number_integer()) return a.get<std::int64_t>() < b.get<std::int64_t>();
    return a.get<double>() < b.get<double>();
  }

  bool equal(const Node& node) const {
    const Json left = of(node.parts[0]), right = of(node.parts[1]);
    if (left.is_null() || right.is_null()) return left.is_null() && right.is_null();
    if (left.is_number() && right.is_number()) return !less(left, right) && !less(right, left);
    if (left.type() != right.type())
      fail(node, fmt::format("got {} and {}, wanted two of a kind", kind_of(left), kind_of(right)));
    return left == right;
  }

  Json arithmetic(const Node& node, const Json& left, const Json& right) const {
    const char op = node.op[0];
    const bool integers = left.is_number_integer() && right.is_number_integer();
    if ((op == '/' || op == '%') && right.get<double>() == 0) fail(node, "division by zero");
    if (op == '%' && !integers) fail(node, "got a fraction, wanted integers on both sides of %");
    if (integers) {
      const auto a = left.get<std::int64_t>(), b = right.get<std::int64_t>();
      std::int64_t result = 0;
      bool overflow = false;
      if (op == '+') overflow = __builtin_add_overflow(a, b, &result);
      if (op == '-') overflow = __builtin_sub_overflow(a, b, &result);
      if (op == '*') overflow = __builtin_mul_overflow(a, b, &result);
      if (op == '/' || op == '%') {
        overflow = b == -1 && a == std::numeric_limits<std::int64_t>::min();
        if (!overflow && op == '%') result = a % b;
        if (!overflow && op == '/') {
          if (a % b != 0) return double(a) / double(b);
          result = a / b;
        }
      }
      if (overflow) fail(node, "the result is beyond 64 bits");
      return result;
    }
    const double a = left.get<double>(), b = right.get<double>();
    const double result = op == '+' ? a + b : op == '-' ? a - b : op == '*' ? a * b : a / b;
    if (!std::isfinite(result)) fail(node, "the result is no finite number");
    return result;
  }

  const std::string &text_, &where_;
  const Expression::Values& values_;
};

}  // namespace

Expression::Expression(std::string text, std::string where) : text_(std::move(text)), where_(std::move(where)) {
  if (text_.size() > kLongest)
    throw Error(Exit::usage,
                fmt::format("{}: got an expression of {} bytes, wanted at most {}", where_, text_.size(), kLongest));
  root_ = std::make_unique<Node>(Parser(text_, where_, keys_).whole());
}

Expression::~Expression() = default;
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;

Json Expression::value(const Values& values) const { return Evaluation(text_, where_, values).of(*root_); }

bool Expression::holds(const Values& values) const { return Evaluation(text_, where_, values).truth(*root_); }

}  // namespace templora
