#include "report/markdown.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <string_view>

namespace templora {
namespace {

/// Every character that Markdown may take for markup marked by a backslash, with `words` all but underscores inside a
/// word, which it takes as they are.
std::string marked(const std::string& text, std::size_t max_bytes, bool words) {
  const std::string shown = printable(text, max_bytes);
  const auto in_word = [&](std::size_t i) {
    return i < shown.size() && (std::isalnum(static_cast<unsigned char>(shown[i])) || shown[i] == '_');
  };
  std::string out;
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const char c = shown[i];
    const bool link = c == ']' && i + 1 < shown.size() &&
                      shown[i + 1] == '(';  // intervals have brackets too, and stay as they are
    const bool block = i == 0 && (c == '#' || c == '>');                        // behind the "- " of a list
    const bool inside = words && c == '_' && i > 0 && in_word(i - 1) && in_word(i + 1);
    if (!inside && (link || block || std::string_view("|`*_<~\\").find(c) != std::string_view::npos)) out += '\\';
    out += c;
  }
  return out;
}

}  // namespace

std::string cell(const std::optional<double>& value, const char* format) {
  return value && std::isfinite(*value) ? fmt::format(fmt::runtime(format), *value) : kDash;
}

std::string with_interval(const BookMean& mean, const char* format) {
  const std::string value = cell(mean.mean, format);
  return mean.low ? value + " [" + cell(mean.low, format) + ", " + cell(mean.high, format) + "]" : value;
}

std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string escaped(const std::string& text, std::size_t max_bytes) { return marked(text, max_bytes, false); }

std::string as_written(const std::string& text, std::size_t max_bytes) { return marked(text, max_bytes, true); }

std::string rank_text(const Json& config) {
  return setting(config, "lora", "update") == "full" ? "all weights" : escaped(setting(config, "lora", "rank"));
}

std::string setting(const Json& config, const char* section, const char* name) {
  const auto in = config.is_object() ? config.find(section) : config.end();
  if (in == config.end() || !in->is_object()) return kDash;
  const auto found = in->find(name);
  if (found == in->end() || found->is_null()) return kDash;
  return found->is_string() ? found->get<std::string>() : found->dump();
}

}  // namespace templora
