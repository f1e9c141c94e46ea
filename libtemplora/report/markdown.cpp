#include "report/markdown.h"

#include <fmt/format.h>

namespace templora {

std::string cell(const std::optional<double>& value, const char* format) {
  return value ? fmt::format(fmt::runtime(format), *value) : kDash;
}

std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : printable(text, 200)) {
    if (c == '|' || c == '`' || c == '*' || c == '_' || c == '<' || c == '\\') out += '\\';
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
