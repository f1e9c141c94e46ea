#include "report/markdown.h"

#include <fmt/format.h>

#include <cmath>
#include <string_view>

namespace templora {

std::string cell(const std::optional<double>& value, const char* format) {
  return value && std::isfinite(*value) ? fmt::format(fmt::runtime(format), *value) : kDash;
}

std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string escaped(const std::string& text, std::size_t max_bytes) {
  const std::string shown = printable(text, max_bytes);
  std::string out;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const char c = shown[i];
    const bool link = c == ']' && i + 1 < shown.size() &&
                      shown[i + 1] == '(';  // intervals have brackets too, and stay as they are
    const bool block = i == 0 && (c == '#' || c == '>');                        // behind the "- " of a list
    if (link || block || std::string_view("|`*_<~\\").find(c) != std::string_view::npos) out += '\\';
    out += c;
  }
  return out;
}

std::string setting(const Json& config, const char* section, const char* name) {
  const auto in = config.is_object() ? config.find(section) : config.end();
  if (in == config.end() || !in->is_object()) return kDash;
  const auto found = in->find(name);
  if (found == in->end() || found->is_null()) return kDash;
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace templora
