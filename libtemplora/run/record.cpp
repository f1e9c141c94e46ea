#include "run/record.h"

#include <fmt/format.h>

namespace templora {
namespace {

/// Reads one field of a record. Absent fields and wrong types are errors of the file that was read.
template <class T>
void get(const Json& json, const std::string& where, const char* name, T& out) {
  const auto found = json.find(name);
  if (found == json.end()) throw Error(Exit::bad_input, fmt::format("{}: {}: missing", where, name));
  bool fits = true;
  if constexpr (std::is_same_v<T, std::int64_t>) fits = found->is_number_integer();
  if constexpr (std::is_same_v<T, bool>) fits = found->is_boolean();
  try {
    if (fits) found->get_to(out);
  } catch (const nlohmann::json::exception&) {
    fits = false;
  }
  if (!fits)
    throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, which is of the wrong type", where, name,
                                             found->dump(-1, ' ', false, Json::error_handler_t::replace)));
}

template <class T>
void get(const Json& json, const std::string& where, const char* name, std::optional<T>& out) {
  const auto found = json.find(name);
  if (found == json.end() || found->is_null())
    out.reset();
  else
    get(json, where, name, out.emplace());
}

void require_object(const Json& json, const std::string& where) {
  if (!json.is_object()) throw Error(Exit::bad_input, fmt::format("{}: got no object, wanted one", where));
}

constexpr std::int64_t kMostCounted = std::int64_t{1} << 53;  // sums of them fit

template <class Record>
Json fields_to_json(const Record& record);
template <class Record>
void fields_from_json(const Json& json, const std::string& where, Record& record);

struct Writer {
  Json& json;

  template <class T>
  void operator()(const char* name, const T& value, Field = Field::plain) const {
    json[name] = value;
  }
  template <class T>
  void operator()(const char* name, const std::optional<T>& value, Field kind = Field::plain) const {
    if (!value && kind == Field::if_any) return;
    if constexpr (std::is_same_v<T, StalenessRecord>)
      json[name] = fields_to_json(*value);
    else
      json[name] = optional_json(value);
  }
};

struct Reader {
  const Json& json;
  const std::string& where;

  template <class T>
  void operator()(const char* name, T& value, Field kind = Field::plain) const {
    if (kind == Field::newer && !json.contains(name)) return;
    get(json, where, name, value);
    if constexpr (std::is_same_v<T, std::int64_t>)
      if (kind == Field::count && (value < 0 || value > kMostCounted))
        throw Error(Exit::bad_input,
                    fmt::format("{}: {}: got {}, wanted at least 0 and no more than 2^53", where, name, value));
  }
  void operator()(const char* name, std::optional<StalenessRecord>& value, Field) const {
    if (const auto found = json.find(name); found != json.end() && !found->is_null())
      fields_from_json(*found, fmt::format("{}: {}", where, name), value.emplace());
  }
};

template <class Record>
Json fields_to_json(const Record& record) {
  Json json = Json::object();
  visit_fields(record, Writer{json});
  return json;
}

template <class Record>
void fields_from_json(const Json& json, const std::string& where, Record& record) {
  require_object(json, where);
  visit_fields(record, Reader{json, where});
}

template <class Record>
Record record_from_json(const Json& json, const std::string& where) {
  Record record;
  fields_from_json(json, where, record);
  return record;
}

}  // namespace

const char* arm_name(Arm arm) {
  switch (arm) {
    case Arm::base: return "base";
    case Arm::lora: return "lora";
    case Arm::other_book: return "other_book";
    case Arm::mixed_books: return "mixed_books";
    case Arm::shuffled_words: return "shuffled_words";
    case Arm::base_cache: return "base_cache";
    case Arm::lora_cache: return "lora_cache";
    case Arm::base_bm25: return "base_bm25";
  }
  return "";
}

std::optional<double> mean_nll(const ChunkRecord& record, Arm arm) {
  if (arm == Arm::base) return record.base_nll;
  if (arm == Arm::lora) return record.lora_nll;
  const auto control = record.controls.find(arm);
  return control == record.controls.end() ? std::nullopt : control->second.nll;
}

Json to_json(const ChunkRecord& r) {
  Json json = fields_to_json(r);
  for (const auto& [arm, control] : r.controls) {
    const std::string name = arm_name(arm);
    json[name + "_nll"] = optional_json(control.nll);
    if (!is_control(arm)) continue;
    json[name + "_trained"] = control.trained_book.empty()
                                  ? Json(nullptr)
                                  : Json{{"book", control.trained_book}, {"first_token", control.trained_token}};
  }
  return json;
}

ChunkRecord chunk_record_from_json(const Json& json, const std::string& where) {
  auto r = record_from_json<ChunkRecord>(json, where);
  for (const Arm arm : kFurtherArms) {
    const std::string name = arm_name(arm);
    if (!json.contains(name + "_nll")) continue;
    ControlRecord& control = r.controls[arm];
    get(json, where, (name + "_nll").c_str(), control.nll);
    const auto trained = json.find(name + "_trained");
    if (trained == json.end() || trained->is_null()) continue;
    require_object(*trained, fmt::format("{}: {}_trained", where, name));
    get(*trained, where, "book", control.trained_book);
    get(*trained, where, "first_token", control.trained_token);
  }
  if (r.scored_tokens > r.tokens)
    throw Error(Exit::bad_input, fmt::format("{}: scored_tokens: got {}, wanted at most tokens, {}", where,
                                             r.scored_tokens, r.tokens));
  return r;
}

Json to_json(const GenerationRecord& r) { return fields_to_json(r); }
Json to_json(const PairRecord& r) { return fields_to_json(r); }
Json to_json(const CometRecord& r) { return fields_to_json(r); }
Json to_json(const BookRecord& r) { return fields_to_json(r); }

GenerationRecord generation_record_from_json(const Json& json, const std::string& where) {
  return record_from_json<GenerationRecord>(json, where);
}
PairRecord pair_record_from_json(const Json& json, const std::string& where) {
  return record_from_json<PairRecord>(json, where);
}
CometRecord comet_record_from_json(const Json& json, const std::string& where) {
  return record_from_json<CometRecord>(json, where);
}
BookRecord book_record_from_json(const Json& json, const std::string& where) {
  return record_from_json<BookRecord>(json, where);
}

}  // namespace templora
