#pragma once

#include <array>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "config/config_keys.h"
#include "config/mistakes.h"

// What the parser, the dump, the schema and the reference page share: the names of enum values and the
// kinds of fields that visit_fields() can hand to a visitor.

namespace templora {

/// Names of an enum's values, in the order in which messages and the schema list them.
template <class E>
struct EnumNames;

template <>
struct EnumNames<ExperimentKind> {
  static constexpr std::array values{std::pair{std::string_view("perplexity"), ExperimentKind::perplexity},
                                     std::pair{std::string_view("pretrain"), ExperimentKind::pretrain},
                                     std::pair{std::string_view("generation"), ExperimentKind::generation},
                                     std::pair{std::string_view("translation"), ExperimentKind::translation}};
};

template <>
struct EnumNames<Fidelity> {
  static constexpr std::array values{std::pair{std::string_view("corrected"), Fidelity::corrected},
                                     std::pair{std::string_view("official"), Fidelity::official}};
};

template <>
struct EnumNames<Dtype> {
  static constexpr std::array values{std::pair{std::string_view("float32"), Dtype::float32},
                                     std::pair{std::string_view("bfloat16"), Dtype::bfloat16}};
};

template <>
struct EnumNames<NovelContext> {
  static constexpr std::array values{std::pair{std::string_view("k1"), NovelContext::k1},
                                     std::pair{std::string_view("k3"), NovelContext::k3}};
};

template <>
struct EnumNames<Tokenization> {
  static constexpr std::array values{std::pair{std::string_view("official"), Tokenization::official},
                                     std::pair{std::string_view("corrected"), Tokenization::corrected}};
};

template <>
struct EnumNames<PromptKind> {
  static constexpr std::array values{std::pair{std::string_view("chatml"), PromptKind::chatml},
                                     std::pair{std::string_view("llama2"), PromptKind::llama2},
                                     std::pair{std::string_view("llama3"), PromptKind::llama3},
                                     std::pair{std::string_view("plain"), PromptKind::plain}};
};

template <>
struct EnumNames<Moments> {
  static constexpr std::array values{std::pair{std::string_view("keep"), Moments::keep},
                                     std::pair{std::string_view("reset"), Moments::reset}};
};

template <>
struct EnumNames<OptimizerKind> {
  static constexpr std::array values{std::pair{std::string_view("adamw"), OptimizerKind::adamw},
                                     std::pair{std::string_view("sgd"), OptimizerKind::sgd},
                                     std::pair{std::string_view("rms"), OptimizerKind::rms}};
};

template <>
struct EnumNames<Control> {
  static constexpr std::array values{std::pair{std::string_view("other_book"), Control::other_book},
                                     std::pair{std::string_view("mixed_books"), Control::mixed_books},
                                     std::pair{std::string_view("shuffled_words"), Control::shuffled_words}};
};

template <>
struct EnumNames<Schedule> {
  static constexpr std::array values{std::pair{std::string_view("cascaded"), Schedule::cascaded},
                                     std::pair{std::string_view("parallelized"), Schedule::parallelized}};
};

template <>
struct EnumNames<CachePolicy> {
  static constexpr std::array values{std::pair{std::string_view("rebuild"), CachePolicy::rebuild},
                                     std::pair{std::string_view("refill"), CachePolicy::refill},
                                     std::pair{std::string_view("every_k"), CachePolicy::every_k},
                                     std::pair{std::string_view("last_n"), CachePolicy::last_n}};
};

template <>
struct EnumNames<AdapterRows> {
  static constexpr std::array values{std::pair{std::string_view("all"), AdapterRows::all},
                                     std::pair{std::string_view("chunk"), AdapterRows::chunk}};
};

template <>
struct EnumNames<RateDecay> {
  static constexpr std::array values{std::pair{std::string_view("none"), RateDecay::none},
                                     std::pair{std::string_view("sqrt"), RateDecay::sqrt},
                                     std::pair{std::string_view("linear"), RateDecay::linear}};
};

template <>
struct EnumNames<InitParts> {
  static constexpr std::array values{std::pair{std::string_view("both"), InitParts::both},
                                     std::pair{std::string_view("a"), InitParts::a}};
};

template <>
struct EnumNames<UpdateKind> {
  static constexpr std::array values{std::pair{std::string_view("low_rank"), UpdateKind::low_rank},
                                     std::pair{std::string_view("full"), UpdateKind::full}};
};

/// The name that a config file uses for an enum value.
template <class E>
std::string_view enum_name(E value) {
  for (const auto& [name, candidate] : EnumNames<E>::values)
    if (candidate == value) return name;
  return "";
}

template <class E>
concept NamedEnum = requires { EnumNames<E>::values; };

struct IgnoreField {
  template <class T>
  void operator()(const char*, T&, const FieldInfo&) const {}
};

/// A struct whose own fields can be visited: a JSON object in the file.
template <class T>
concept Section = requires(T& section, IgnoreField ignore) { visit_fields(section, ignore); };

template <class T>
struct OptionalOf {
  static constexpr bool yes = false;
  using Value = T;
};

template <class T>
struct OptionalOf<std::optional<T>> {
  static constexpr bool yes = true;
  using Value = T;
};

template <class T>
struct ArrayOf {
  static constexpr bool yes = false;
  using Value = T;
};

template <class T>
struct ArrayOf<std::vector<T>> {
  static constexpr bool yes = true;
  using Value = T;
};

/// "train.epochs" from "train" and "epochs"; just the name at the top.
inline std::string dotted(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string(name) : parent + "." + std::string(name);
}

/// Calls `v(dotted key, member, FieldInfo)` for every field that is not a section, in file order; what its section says
/// of it is in the FieldInfo.
template <class S, class Visitor>
void visit_leaves(S& section, const std::string& parent, Visitor&& v, const FieldInfo& outer = FieldInfo{""}) {
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo& info) {
    if constexpr (Section<std::remove_reference_t<decltype(member)>>)
      visit_leaves(member, dotted(parent, name), v, within(outer, info));
    else
      v(dotted(parent, name), member, within(outer, info));
  });
}

/// The value at "train.epochs", or null; and without it, and without "train" where nothing is left of that.
Json* find_key(Json& config, const std::string& key);
void erase_key(Json& config, const std::string& key);

/// A config as a run recorded it, with the keys that its version did not know yet (FieldInfo::late) at their defaults:
/// two runs do not differ in what came between them.
Json with_later_keys(Json config);

/// All keys of a config, in file order, with what their sections say of them.
const std::vector<std::pair<std::string, FieldInfo>>& config_keys();

/// Whether a record's identity says what was read there, so that it does not matter where that lies.
bool is_recorded(const FieldInfo& input, const Json& identity);

/// "perplexity, generation", "all".
std::string experiment_names(Experiments experiments);

/// The experiment that a run's record names; all where it names none that is known.
Experiments recorded_experiment(const Json& effective);

/// Fills `config` from a parsed file, keeping the default of every key that is absent or wrong. Notes unknown keys (the
/// nearest known one is named), wrong types, values out of range.
void read_config(const Json& json, Config& config, Mistakes& mistakes);

/// Whether `key` is a field that takes text, so that `--set name=3` means "3".
bool takes_text(const std::string& key);

/// A number's allowed values in words: "at least 1 tokens", "from 0 to 0.999", "" where all are allowed.
std::string range_text(const FieldInfo& info);

/// "a, b, c": the names of an enum's values.
template <NamedEnum E>
std::string enum_name_list() {
  std::string list;
  for (const auto& [name, value] : EnumNames<E>::values) {
    if (!list.empty()) list += ", ";
    list += '"' + std::string(name) + '"';
  }
  return list;
}

/// The value of a field as JSON, enums by name, empty optionals null.
template <class T>
Json field_json(const T& value) {
  if constexpr (OptionalOf<T>::yes) {
    return value ? field_json(*value) : Json(nullptr);
  } else if constexpr (NamedEnum<T>) {
    return std::string(enum_name(value));
  } else if constexpr (ArrayOf<T>::yes) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(field_json(item));
    return array;
  } else if constexpr (std::is_same_v<T, History>) {
    if (value.reference_share == 1) return "reference";
    return value.reference_share == 0 ? Json("own") : Json(value.reference_share);
  } else {
    return Json(value);
  }
}

/// Every key of a section, null where an optional is empty.
template <Section S>
Json section_json(S& section) {
  Json object = Json::object();
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo&) {
    if constexpr (Section<std::remove_reference_t<decltype(member)>>)
      object[name] = section_json(member);
    else
      object[name] = field_json(member);
  });
  return object;
}

}  // namespace templora
