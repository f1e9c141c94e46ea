#include "core/foreign_numbers.h"

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>
#include <string_view>

namespace templora {

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Whether a number, NaN or Infinity may have this character.
bool is_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+' || c == '.'; }

/// Whether a run of letters, digits and signs is a JSON number.
bool is_number(std::string_view token) {
  std::size_t at = 0;
  const auto digits = [&] {
    const std::size_t start = at;
    while (at < token.size() && is_digit(token[at])) ++at;
    return at > start;
  };
  const auto take = [&](std::string_view any) {
    const bool found = at < token.size() && any.find(token[at]) != std::string_view::npos;
    at += found ? 1 : 0;
    return found;
  };
  take("-");
  if (!take("0") && !digits()) return false;
  if (take(".") && !digits()) return false;
  if (take("eE")) {
    take("+-");
    if (!digits()) return false;
  }
  return at == token.size();
}

}  // namespace

ForeignNumbers mask_foreign_numbers(std::string& text) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  constexpr std::size_t kSafe = 20;  // characters of a number without exponent that surely has a finite value
  ForeignNumbers found;
  bool inside = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '"') inside = !inside;
    if (inside) {
      if (text[at] == '\\') ++at;
      continue;
    }
    const std::size_t start = at;
    while (at < text.size() && is_part(text[at])) ++at;
    if (at == start) continue;
    const std::string token = text.substr(start, at - start);
    std::optional<double> value;
    if (token == "NaN") value = std::numeric_limits<double>::quiet_NaN();
    if (token == "Infinity") value = kInfinity;
    if (token == "-Infinity") value = -kInfinity;
    if ((token.size() > kSafe || token.find_first_of("eE") != std::string::npos) && is_number(token)) {
      const double read = std::strtod(token.c_str(), nullptr);
      if (!std::isfinite(read)) value = read;
    }
    if (value) {
      found.emplace(at, *value);
      text.replace(start, at - start, "\"" + std::string(at - start - 2, ' ') + "\"");
    }
    --at;
  }
  return found;
}

}  // namespace templora
