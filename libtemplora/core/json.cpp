#include "core/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <unordered_map>
#include <vector>

#include "core/foreign_numbers.h"
#include "core/git_lfs.h"

namespace templora {

namespace {

constexpr std::size_t kMaxDepth = 64;

/// Reads characters and tells how far the parser came, which its callbacks cannot see otherwise.
struct CountingIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** furthest;

  reference operator*() const { return *at; }
  CountingIterator& operator++() {
    *furthest = ++at;
    return *this;
  }
  bool operator==(const CountingIterator& other) const { return at == other.at; }
};

/// Builds the value while refusing what nlohmann's own parser lets pass and, but in foreign files, what a file of our
/// own must not have.
class StrictBuilder {
 public:
  /// `unparsed`: of a foreign file, what was masked in it; null for our own.
  StrictBuilder(std::string_view text, const std::string& where, Exit code, const ForeignNumbers* unparsed)
      : text_(text), where_(where), code_(code), unparsed_(unparsed), furthest(text.data()) {}

  bool null() { return add(Json()), true; }
  bool boolean(bool value) { return add(Json(value)), true; }
  bool number_integer(Json::number_integer_t value) { return add(Json(value)), true; }
  bool number_unsigned(Json::number_unsigned_t value) {
    // A reader that asks for int64 would get a negative number without a word; a float it does not take.
    if (value > static_cast<Json::number_unsigned_t>(INT64_MAX)) {
      if (unparsed_ == nullptr) refuse_integer(std::to_string(value));
      return add(Json(static_cast<double>(value))), true;
    }
    return add(Json(value)), true;
  }
  bool number_float(Json::number_float_t value, const std::string& token) {
    // nlohmann hands an integer that 64 bits cannot hold over as a rounded float.
    if (unparsed_ == nullptr && token.find_first_of(".eE") == std::string::npos) refuse_integer(token);
    return add(Json(value)), true;
  }
  bool string(std::string& value) {
    const double* number = masked();
    return add(number != nullptr ? Json(*number) : Json(std::move(value))), true;
  }
  bool binary(Json::binary_t&) { return false; }

  bool start_object(std::size_t) {
    open(add(Json::object()));
    keys_.emplace_back();
    return true;
  }
  bool key(std::string& name) {
    if (masked() != nullptr) fail("not valid JSON: got a number, wanted a string for a key");
    const auto [known, fresh] = keys_.back().emplace(name, open_.back()->size());
    if (!fresh && unparsed_ == nullptr) {
      fail(fmt::format("key \"{}\" stands twice in one object, wanted once; remove one of the two", printable(name)));
    }
    place_ = known->second;
    key_ = std::move(name);
    return true;
  }
  bool end_object() {
    keys_.pop_back();
    open_.pop_back();
    return true;
  }
  bool start_array(std::size_t) {
    open(add(Json::array()));
    return true;
  }
  bool end_array() {
    open_.pop_back();
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: what it was"
    std::string_view what = error.what();
    const std::size_t column = what.find(", column ");
    const std::size_t start = column == std::string_view::npos ? what.find("] ") : what.find(": ", column);
    if (start != std::string_view::npos) what.remove_prefix(start + 2);
    fail(fmt::format("not valid JSON: {}", printable(what, 240)));
  }

  [[noreturn]] void fail(const std::string& what) const {
    const std::string_view read = text_.substr(0, static_cast<std::size_t>(furthest - text_.data()));
    const std::string_view before = read.empty() ? read : read.substr(0, read.size() - 1);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    const std::size_t column = 1 + before.size() - (newline == std::string_view::npos ? 0 : newline + 1);
    throw Error(code_, fmt::format("{}: line {}, column {}: {}", where_, line, column, what));
  }

  Json take() { return std::move(root_); }

 private:
  [[noreturn]] void refuse_integer(const std::string& token) const {
    fail(fmt::format(
        "got the integer {}, wanted one between -2^63 and 2^63-1; write it as a string or with a decimal point",
        printable(token, 40)));
  }

  /// The number that stood where a string was just read, if it was masked.
  const double* masked() const {
    if (unparsed_ == nullptr) return nullptr;
    const auto found = unparsed_->find(static_cast<std::size_t>(furthest - text_.data()));
    return found == unparsed_->end() ? nullptr : &found->second;
  }

  Json& add(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& parent = *open_.back();
    if (parent.is_array()) {
      auto& array = parent.get_ref<Json::array_t&>();
      return array.emplace_back(std::move(value));
    }
    // Appended past the map's own insertion, which compares with every earlier key; keys_ did that.
    auto& object = parent.get_ref<Json::object_t&>();
    const auto place = static_cast<std::ptrdiff_t>(place_);
    if (place_ < object.size()) return (object.begin() + place)->second = std::move(value);
    return static_cast<Json::object_t::Container&>(object).emplace_back(std::move(key_), std::move(value)).second;
  }

  void open(Json& container) {
    if (open_.size() == kMaxDepth) {
      fail(fmt::format("arrays and objects are nested deeper than {} levels, wanted at most that", kMaxDepth));
    }
    open_.push_back(&container);
  }

  std::string_view text_;
  const std::string& where_;
  Exit code_;
  const ForeignNumbers* unparsed_;
  Json root_;
  std::string key_;
  std::size_t place_ = 0;    // of key_ in its object
  std::vector<Json*> open_;  // a parent does not grow while a child is open, so these stay valid
  std::vector<std::unordered_map<std::string, std::size_t>> keys_;  // of each open object, and their places

 public:
  const char* furthest;
};

/// Throws for the first value that JSON cannot hold; `path` is a JSON pointer to `value`.
void check_dumpable(const Json& value, const std::string& where, std::string& path, std::size_t depth) {
  if (depth > kMaxDepth) {
    throw Error(Exit::bad_input, fmt::format("{}: {}: nested deeper than {} levels, wanted at most that", where,
                                             printable(path, 80), kMaxDepth));
  }
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw Error(Exit::numerics, fmt::format("{}: {}: got {}, wanted a finite number; JSON cannot hold it", where,
                                            printable(path), value.get<double>()));
  }
  if (!value.is_structured()) return;
  const std::size_t length = path.size();
  std::size_t index = 0;
  for (auto item = value.begin(); item != value.end(); ++item, ++index) {
    path += '/';
    path += value.is_object() ? item.key() : std::to_string(index);
    check_dumpable(*item, where, path, depth + (item->is_structured() ? 1 : 0));
    path.resize(length);
  }
}

std::string dump(const Json& value, const std::string& where, int indent) {
  std::string path;
  check_dumpable(value, where, path, value.is_structured() ? 1 : 0);
  try {
    return value.dump(indent);
  } catch (const Json::type_error& error) {
    std::string_view what = error.what();  // "[json.exception.type_error.316] what it was"
    if (const std::size_t end = what.find("] "); end != std::string_view::npos) what.remove_prefix(end + 2);
    throw Error(Exit::bad_input, fmt::format("{}: a string is not UTF-8, wanted UTF-8: {}", where, printable(what)));
  }
}

/// `unparsed` as StrictBuilder takes it.
Json parse(std::string_view text, const std::string& where, Exit code, const ForeignNumbers* unparsed,
           std::size_t* bytes_read) {
  StrictBuilder builder(text, where, code, unparsed);
  try {
    // nlohmann takes a NUL for the end of the input and would not look at what follows.
    if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
      builder.furthest = text.data() + nul + 1;
      builder.fail("got a NUL byte, wanted JSON text");
    }
    const char* end = text.data() + text.size();
    Json::sax_parse(CountingIterator{text.data(), &builder.furthest}, CountingIterator{end, &builder.furthest},
                    &builder);
  } catch (const Error&) {
    if (bytes_read != nullptr) *bytes_read = static_cast<std::size_t>(builder.furthest - text.data());
    throw;
  }
  return builder.take();
}

}  // namespace

Json parse_json(std::string_view text, const std::string& where, Exit code, std::size_t* bytes_read) {
  return parse(text, where, code, nullptr, bytes_read);
}

Json parse_foreign_json(std::string_view text, const std::string& where) {
  refuse_lfs_pointer(text, where);
  std::string masked(text);
  const ForeignNumbers unparsed = mask_foreign_numbers(masked);
  return parse(masked, where, Exit::bad_input, &unparsed, nullptr);
}

std::string shown_json(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) return fmt::format("{}", value.get<double>());
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string dump_json(const Json& value, const std::string& where) { return dump(value, where, -1); }

std::string dump_json_pretty(const Json& value, const std::string& where) { return dump(value, where, 2) + "\n"; }

}  // namespace templora
