#include "run/json_lines.h"

#include <fmt/format.h>

#include <cstdint>

#include "core/error.h"

namespace templora {

std::string each_line(const fs::path& file, const std::string& name,
                      const std::function<void(std::string_view, const std::string& where)>& use) {
  const std::string text = read_file(file);
  std::size_t start = 0;
  for (std::int64_t line = 1; start < text.size(); ++line) {
    const std::string where = fmt::format("{}:{}", name, line);
    const std::size_t end = text.find('\n', start);
    if (end == std::string::npos) return where;
    use(std::string_view(text).substr(start, end - start), where);
    start = end + 1;
  }
  return "";
}

void read_jsonl(const fs::path& file, const std::function<void(const Json&, const std::string& where)>& use) {
  const std::string open = each_line(file, file.string(), [&](std::string_view text, const std::string& where) {
    use(parse_json(text, where), where);
  });
  if (!open.empty())
    throw Error(Exit::bad_input, fmt::format("{}: the last line has no end; resume the run first", open));
}

void for_each_record(const fs::path& file, const std::function<void(const Json&)>& use) {
  if (!fs::exists(file)) return;
  each_line(file, file.string(), [&](std::string_view text, const std::string& where) {
    const Json record = parse_json(text, where);
    try {
      use(record);
    } catch (const nlohmann::json::exception&) {
      throw Error(
          Exit::bad_input,
          fmt::format("{}: a field is missing or of the wrong type, wanted a record as templora writes it", where));
    }
  });
}

std::optional<double> number_at(const Json& json, const std::string& pointer) {
  const Json::json_pointer at(pointer);
  if (!json.contains(at) || !json.at(at).is_number()) return std::nullopt;
  return json.at(at).get<double>();
}

}  // namespace templora
