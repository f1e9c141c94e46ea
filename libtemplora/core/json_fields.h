#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/json.h"

namespace templora {

/// The fields of one JSON object that came from outside, such as a model's config.json. Every reader gives the value if
/// it is what is wanted, else throws Error(bad_input) with the object, the field, what was got and what was wanted. A
/// field that is null counts as absent. The JSON must outlive this object.
class JsonFields {
 public:
  /// Sizes above this are refused before anything is allocated or multiplied.
  static constexpr std::int64_t kLargestSize = std::int64_t{1} << 28;
  static constexpr std::int64_t kMostLayers = 4096;

  /// `where` names the object in messages; `advice` ends the line about a field that is absent and has no default.
  /// Throws Error(bad_input) if `json` is no object.
  JsonFields(const Json& json, std::string where, std::string advice = {});

  bool contains(const char* name) const { return json_.contains(name); }  ///< null or not
  bool has(const char* name) const;
  /// The value as it stands, null where the key is absent.
  const Json& raw(const char* name) const;
  /// The value as it stands, of a key that must be there, be it null.
  const Json& at(const char* name) const;

  /// An integer from `least` to `most`.
  std::int64_t size(const char* name, std::optional<std::int64_t> fallback = {}, std::int64_t least = 1,
                    std::int64_t most = kLargestSize) const;
  /// The same of a value inside the field.
  std::int64_t size_of(const char* name, const Json& value, std::int64_t least = 1,
                       std::int64_t most = kLargestSize) const;
  /// A finite number.
  double number(const char* name, std::optional<double> fallback = {}) const;
  /// A number above 0.
  double positive(const char* name, std::optional<double> fallback = {}) const;
  bool boolean(const char* name, bool fallback) const;
  std::string text(const char* name, const std::string& fallback) const;

  /// Throws unless the field has this value: the one that is supported.
  void must_be(const char* name, const Json& wanted) const;

  /// Throws: the field was refused. `got` may be foreign text.
  [[noreturn]] void refuse(const std::string& field, const std::string& got, const std::string& wanted) const;
  /// The same with what the field holds.
  [[noreturn]] void refuse(const char* field, const std::string& wanted) const;

 private:
  [[noreturn]] void refuse_absent(const char* field, const std::string& wanted) const;

  const Json& json_;
  std::string where_, advice_;
};

}  // namespace templora
