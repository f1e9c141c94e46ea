#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/file.h"
#include "core/json.h"

namespace templora {

// Files of records, one JSON object a line. A run that was stopped may leave a last line without an end.

/// Calls `use(text, where)` for each line that has an end; `where` is "name:line". → where a last line
/// without one stands, "" if there is none. Throws Error(bad_input) where the file cannot be read.
std::string each_line(const fs::path& file, const std::string& name,
                      const std::function<void(std::string_view, const std::string& where)>& use);

/// Calls `use(record, where)` for each line of a finished file of records. Throws Error(bad_input) for a line that is
/// not JSON or has no end.
void read_jsonl(const fs::path& file, const std::function<void(const Json&, const std::string& where)>& use);

/// The same of a run that may go on: a last line without an end is passed over, and there may be no such file. Throws
/// Error(bad_input) naming file and line, also where `use` misses a field.
void for_each_record(const fs::path& file, const std::function<void(const Json&)>& use);

/// The number at a JSON pointer; none where there is another thing or nothing.
std::optional<double> number_at(const Json& json, const std::string& pointer);

}  // namespace templora
