#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"

namespace templora {

/// JSON whose objects keep the order in which their keys were written.
using Json = nlohmann::ordered_json;

/// Parses strict JSON: UTF-8, no duplicate key in any object, at most 64 levels deep, nothing after the
/// value, no integer beyond 64 signed bits. `where` names the source in messages.
/// Throws Error(code) with line and column (in bytes, of the last one read); `bytes_read` then tells how many were.
Json parse_json(std::string_view text, const std::string& where, Exit code = Exit::bad_input,
                std::size_t* bytes_read = nullptr);

/// Parses what another program wrote (config.json, tokenizer files, an index) by the rules of Python's json: of equal
/// keys the last one's value counts, at the first one's place; NaN, Infinity, -Infinity and integers of any size are
/// read. An integer beyond 64 signed bits becomes a float, so who wants an integer there refuses it, as who wants a
/// finite number refuses a NaN: what nobody reads is not judged. The rest is as strict as parse_json.
/// Throws Error(bad_input) with line and column.
Json parse_foreign_json(std::string_view text, const std::string& where);

/// A value as a message shows it: dumped on one line, NaN and infinities by name.
std::string shown_json(const Json& value);

/// The value, or null.
template <class T>
Json optional_json(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// Compact one-line dump. Throws Error(numerics) where a number is NaN or infinite, which JSON cannot
/// hold and nlohmann would write as null without a word, and Error(bad_input) where a string is not UTF-8
/// or the value is deeper than parse_json takes. `where` names the record in the message.
std::string dump_json(const Json& value, const std::string& where);

/// The same with two-space indentation and a final newline, for files that people read.
std::string dump_json_pretty(const Json& value, const std::string& where);

}  // namespace templora
