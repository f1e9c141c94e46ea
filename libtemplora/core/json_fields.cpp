#include "core/json_fields.h"

#include <fmt/format.h>

#include <cmath>

namespace templora {

JsonFields::JsonFields(const Json& json, std::string where, std::string advice)
    : json_(json), where_(std::move(where)), advice_(std::move(advice)) {
  if (!json.is_object()) throw Error(Exit::bad_input, fmt::format("{}: not a JSON object", where_));
}

void JsonFields::refuse(const std::string& field, const std::string& got, const std::string& wanted) const {
  throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted {}", where_, field, printable(got), wanted));
}

void JsonFields::refuse(const char* field, const std::string& wanted) const {
  refuse(field, json_.contains(field) ? shown_json(raw(field)) : "nothing", wanted);
}

void JsonFields::refuse_absent(const char* field, const std::string& wanted) const {
  refuse(field, advice_.empty() ? wanted : wanted + "; " + advice_);
}

bool JsonFields::has(const char* name) const { return !raw(name).is_null(); }

const Json& JsonFields::raw(const char* name) const {
  static const Json null;
  const auto found = json_.find(name);
  return found == json_.end() ? null : *found;
}

const Json& JsonFields::at(const char* name) const {
  if (!json_.contains(name)) refuse_absent(name, "a value");
  return raw(name);
}

std::int64_t JsonFields::size(const char* name, std::optional<std::int64_t> fallback, std::int64_t least,
                              std::int64_t most) const {
  if (has(name)) return size_of(name, raw(name), least, most);
  if (fallback) return *fallback;
  refuse_absent(name, fmt::format("an integer from {} to {}", least, most));
}

std::int64_t JsonFields::size_of(const char* name, const Json& value, std::int64_t least, std::int64_t most) const {
  if (!value.is_number_integer() || value.get<std::int64_t>() < least || value.get<std::int64_t>() > most)
    refuse(name, shown_json(value), fmt::format("an integer from {} to {}", least, most));
  return value.get<std::int64_t>();
}

double JsonFields::number(const char* name, std::optional<double> fallback) const {
  if (!has(name)) {
    if (fallback) return *fallback;
    refuse_absent(name, "a number");
  }
  const Json& value = raw(name);
  if (!value.is_number() || !std::isfinite(value.get<double>())) refuse(name, "a finite number");
  return value.get<double>();
}

double JsonFields::positive(const char* name, std::optional<double> fallback) const {
  const double value = number(name, fallback);
  if (value <= 0) refuse(name, "a number above 0");
  return value;
}

bool JsonFields::boolean(const char* name, bool fallback) const {
  if (!has(name)) return fallback;
  if (!raw(name).is_boolean()) refuse(name, "true or false");
  return raw(name).get<bool>();
}

std::string JsonFields::text(const char* name, const std::string& fallback) const {
  if (!has(name)) return fallback;
  if (!raw(name).is_string()) refuse(name, "a string");
  return raw(name).get<std::string>();
}

void JsonFields::must_be(const char* name, const Json& wanted) const {
  if (at(name) != wanted) refuse(name, wanted.dump() + ": no other setting is supported");
}

}  // namespace templora
