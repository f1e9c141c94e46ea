#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "config/config_fields.h"
#include "config/config_schema.h"
#include "config/layer_spec.h"

namespace templora {
namespace {

Json number_limit(double limit, bool integer) {
  return integer ? Json(static_cast<std::int64_t>(limit)) : Json(limit);
}

/// Type and range of a field's values, without null.
template <class T>
Json value_schema(const FieldInfo& info) {
  Json schema = Json::object();
  if constexpr (ArrayOf<T>::yes) {
    const Json item = value_schema<typename ArrayOf<T>::Value>(info);
    const Json array{{"type", "array"}, {"items", item}};
    schema = NamedEnum<typename ArrayOf<T>::Value> ? Json{{"anyOf", Json::array({item, array})}} : array;
  } else if constexpr (NamedEnum<T>) {
    schema["enum"] = Json::array();
    for (const auto& [name, value] : EnumNames<T>::values) schema["enum"].push_back(std::string(name));
  } else if constexpr (std::is_same_v<T, History>) {
    schema["anyOf"] = {{{"enum", {"reference", "own"}}},
                       {{"type", "number"}, {"minimum", info.min}, {"maximum", info.max}}};
  } else if constexpr (std::is_same_v<T, bool>) {
    schema["type"] = "boolean";
  } else if constexpr (std::is_same_v<T, std::string>) {
    schema["type"] = "string";
    schema["minLength"] = 1;
  } else if constexpr (std::is_arithmetic_v<T>) {
    const bool integer = std::is_integral_v<T>;
    schema["type"] = integer ? "integer" : "number";
    if (std::isfinite(info.min))
      schema[info.above_min ? "exclusiveMinimum" : "minimum"] = number_limit(info.min, integer);
    if (std::isfinite(info.max)) schema["maximum"] = number_limit(info.max, integer);
  }
  return schema;  // Json itself: anything goes
}

template <class Member>
Json field_schema(const FieldInfo& info) {
  const Json value = value_schema<typename OptionalOf<Member>::Value>(info);
  if (!OptionalOf<Member>::yes || value.empty()) return value.empty() ? Json::object() : value;
  return {{"anyOf", Json::array({value, Json{{"type", "null"}}})}};
}

/// Lets null stand for a value too: beside "extends" it takes an inherited one away.
void allow_null(Json& schema) {
  const Json null{{"type", "null"}};
  if (schema.contains("enum")) {
    schema["enum"].push_back(nullptr);
  } else if (schema.contains("type")) {
    schema["type"] = Json::array({schema["type"], "null"});
  } else if (schema.contains("anyOf")) {
    Json& any = schema["anyOf"];
    if (std::find(any.begin(), any.end(), null) == any.end()) any.push_back(null);
  }
}

template <Section S>
Json section_schema(S& section) {
  Json schema = {{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo& info) {
    using Member = std::remove_reference_t<decltype(member)>;
    Json& out = schema["properties"][name];
    if constexpr (Section<Member>) {
      out = section_schema(member);
    } else {
      out = field_schema<Member>(info);
      const bool required = std::is_same_v<Member, std::string> && field_json(member) == "";
      if (!required) out["default"] = field_json(member);
    }
    allow_null(out);
    out["description"] = *info.unit ? fmt::format("{} [{}]", info.help, info.unit) : std::string(info.help);
  });
  return schema;
}

template <class T>
std::string type_name() {
  if constexpr (OptionalOf<T>::yes) return type_name<typename OptionalOf<T>::Value>() + " or null";
  else if constexpr (NamedEnum<typename ArrayOf<T>::Value> && ArrayOf<T>::yes)
    return type_name<typename ArrayOf<T>::Value>() + " or an array of them";
  else if constexpr (ArrayOf<T>::yes) return "array of " + type_name<typename ArrayOf<T>::Value>() + "s";
  else if constexpr (NamedEnum<T>) return enum_name_list<T>();
  else if constexpr (std::is_same_v<T, History>) return "\"reference\", \"own\", number";
  else if constexpr (std::is_same_v<T, bool>) return "true or false";
  else if constexpr (std::is_same_v<T, std::string>) return "string";
  else if constexpr (std::is_same_v<T, double>) return "number";
  else if constexpr (std::is_integral_v<T>) return "integer";
  else return "any JSON";
}

/// Table cells may not hold a bar.
std::string cell(std::string text) {
  for (std::size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.replace(at, 1, "\\|");
  return text;
}

/// The range without the unit, which has a column of its own.
std::string range_cell(FieldInfo info) {
  info.unit = "";
  const std::string text = range_text(info);
  return text.rfind("of ", 0) == 0 ? text.substr(3) : text;
}

const char* role_name(Role role) {
  switch (role) {
    case Role::number: return "numbers";
    case Role::input: return "input";
    case Role::presentation: return "presentation";
    case Role::bookkeeping: return "bookkeeping";
  }
  return "";
}

template <Section S>
void append_section(S& section, const std::string& title, const std::string& parent, const FieldInfo& outer,
                    std::string& out) {
  std::string rows, inner;
  visit_fields(section, [&](const char* name, auto& member, const FieldInfo& own) {
    using Member = std::remove_reference_t<decltype(member)>;
    const std::string key = dotted(parent, name);
    const FieldInfo info = within(outer, own);
    if constexpr (Section<Member>) {
      append_section(member, key, key, info, inner);
    } else {
      const std::string default_value = field_json(member).dump();
      const bool required = key == "model.path";
      const std::string refused = info.refused ? "; refused: " + experiment_names(info.refused & ~info.users) : "";
      rows += fmt::format("| `{}` | {} | {} | {} | {} | {}{} | {} | {} |\n", key, cell(type_name<Member>()),
                          required ? "required" : "`" + cell(default_value) + "`", info.unit, range_cell(info),
                          experiment_names(info.users), refused, role_name(info.role), cell(info.help));
    }
  });
  std::string sentence = outer.help;
  sentence[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(sentence[0])));
  out += fmt::format(
      "## {}\n\n{}.\n\n| key | type | default | unit | range | used by | decides | meaning |\n| --- | --- | --- | --- "
      "| --- | --- | --- | --- |\n{}\n",
      title, sentence, rows);
  out += inner;
}

}  // namespace

Json config_schema() {
  Config config;
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"}, {"title", "templora run config"}};
  schema.update(section_schema(config));
  Json& properties = schema["properties"];
  schema["anyOf"] = {{{"required", Json::array({"model"})}}, {{"required", Json::array({"extends"})}}};
  for (const auto& [key, help] : {std::pair{"$schema", "for editors, never read"},
                                  {"extends", "another config file, relative to this one: objects merge, arrays and "
                                              "single values replace, null takes an inherited value away"}})
    properties[key] = {{"type", "string"}, {"minLength", 1}, {"description", help}};
  properties["model"]["properties"]["rope_scaling"]["type"] = {"object", "null"};
  Json& lora = properties["lora"]["properties"];
  lora["targets"]["items"] = {{"enum", all_projections()}};
  lora["targets"]["minItems"] = 1;
  lora["targets"]["uniqueItems"] = true;
  return schema;
}

std::vector<std::pair<std::string, Json>> config_key_schemas() {
  std::vector<std::pair<std::string, Json>> schemas;
  Config config;
  visit_leaves(config, "", [&](const std::string& key, [[maybe_unused]] auto& member, const FieldInfo& info) {
    Json schema = field_schema<std::remove_reference_t<decltype(member)>>(info);
    schema["description"] = std::string(info.help);
    schemas.emplace_back(key, std::move(schema));
  });
  return schemas;
}

std::string config_reference() {
  Config config;
  std::string out =
      "# Config reference\n\n"
      "A config is one JSON object; sections are nested objects. Unknown keys, keys given twice and values of the\n"
      "wrong type or out of range are errors, and all of them are told at once. `--set section.name=value` replaces a "
      "key\n"
      "for one run. Relative paths are relative to the config file.\n\n"
      "`// …` and `/* … */` are comments. `\"$schema\"` is for editors. `\"extends\": \"other.json\"` takes over "
      "what another\n"
      "file says: [first-config.md](first-config.md).\n\n"
      "\"used by\" names the experiments that a key has a part in; others pass it over, or refuse another value than "
      "its\n"
      "default where that is said. \"decides\" says what: numbers; an input, whose content counts, not its place; "
      "presentation,\n"
      "how results are shown; bookkeeping, what is kept, how often and where. The last two have no part in a run's "
      "hash and a\n"
      "sweep cell's key, and neither has what the experiment does not use.\n\n";
  append_section(config, "Top level", "", FieldInfo{"What is run, and how faithful it is to the released code"}, out);
  out +=
      "## Rules between keys\n\n"
      "- `train.warmup_chunks` and `train.warmup_steps` exclude each other. With neither, `corrected` warms up over 2\n"
      "  steps and `official` over 2 chunks.\n"
      "- `fidelity: \"official\"` sets `train.warmup_chunks` to 2, `window.first_chunk_tokens` to 1024 and\n"
      "  `window.context_tokens` to `train.prefix_tokens` where they are absent or null; the run's record lists the "
      "keys\n"
      "  that were set so.\n"
      "- `score.segment_edges` starts at 0 and increases. At least one of `score.base` and `score.adapter` is true.\n"
      "- `control` wants `score.adapter` and names nothing twice; `mixed_books` wants `data.control_books`, and "
      "`other_book`\n"
      "  takes the run's own other books, or those where it has none. See [controls.md](controls.md).\n"
      "- `bm25.passage_tokens` is less than `window.context_tokens`, and goes with windows that are computed anew "
      "alone. See\n"
      "  [ablations.md](ablations.md).\n"
      "- `lora.targets` and `lora.layers` name nothing twice and are not empty.\n"
      "- With W = `cache.window_tokens`, or `window.context_tokens` + `window.chunk_tokens` where it is null: "
      "`cache.policy`\n"
      "  `refill` wants `cache.refill_tokens` of at most W - 2 * `window.chunk_tokens`, since above that nothing is "
      "ever\n"
      "  reused; `last_n` wants W above `window.chunk_tokens` + `cache.sink_tokens`; `every_k` wants\n"
      "  `cache.rebuild_every_chunks` of at least 2. Only `last_n` takes a `cache.sink_tokens` above 0. With `rebuild` "
      "and\n"
      "  `every_k`, `cache.window_tokens` has no part, and another value than that sum is refused; what `every_k` has "
      "in sight\n"
      "  grows up to `window.context_tokens` + `cache.rebuild_every_chunks` * `window.chunk_tokens`.\n"
      "- `lora.reset_every_tokens` above 0 wants `cache.policy` `rebuild`; `cache.measure_staleness` wants another.\n"
      "- `lora.rows` `chunk` wants `score.base`, the same `window.context_tokens` as `train.prefix_tokens`, and no "
      "lag, no\n"
      "  labelled prefix, no `train.steps_by_gap` and no `recall.facts`. See [chunk-rows.md](chunk-rows.md).\n"
      "- `recall.facts` is a multiple of 24; `recall.plant_to_tokens` is more than `recall.plant_from_tokens`, and no "
      "more than\n"
      "  `data.max_tokens` where that is above 0; `recall.ask_after_tokens` increases. See [recall.md](recall.md).\n"
      "- `train.weight_decay` above 0 goes with `train.optimizer` `adamw` only, and `train.moments` `reset` not with "
      "`sgd`.\n"
      "  `train.label_prefix` wants a `train.prefix_tokens` above 0; `train.update_every_chunks` and "
      "`train.hard_quantile` want\n"
      "  `train.enabled`.\n"
      "- `lora.update` `full` takes no `lora.init_from` and no `lora.save_final`.\n"
      "- `lora.init_parts` `a` wants `lora.init_from`. `lora.reset_every_tokens` -1, one adapter for all documents, "
      "takes no\n"
      "  `control`. `train.rate_decay` `linear` is for `perplexity`, with one adapter a document or one for all.\n"
      "- `generate.min_new_tokens` is at most `generate.max_new_tokens`. A generation wants exactly one of "
      "`generate.prompt`,\n"
      "  `generate.prompt_file` and `generate.from_snapshot`, and with `cache.policy` `rebuild` or `every_k` a\n"
      "  `window.context_tokens` of at least 1. Two of the three exclude each other in every config.\n"
      "- `experiment: \"translation\"` wants `data.novels`. `translation.tokenization` is `official` or `corrected` as "
      "`fidelity` is, where it is\n"
      "  absent. Without `generate.stop` a translation ends at the template's end mark or a line end. `perplexity` "
      "and\n"
      "  `pretrain` want `data.books`. All chunks of a generation have `window.chunk_tokens`.\n"
      "- `experiment: \"pretrain\"` wants `model.tokenizer` and `data.validation`, a `pretrain.batch_sequences` that "
      "is a\n"
      "  multiple of `micro_sequences` and sizes that fit each other; it reads `data.books` without `data.exclude` and "
      "the\n"
      "  `pretrain` section, and makes a model; every other experiment reads `model.path`. It reads whole texts: a\n"
      "  `data.max_tokens` above 0 is refused. Sections of other experiments are allowed and unused.\n";
  return out;
}

}  // namespace templora
