#include "sweep/sweep_schema.h"

#include <type_traits>
#include <utility>

#include "config/config.h"
#include "config/config_schema.h"
#include "sweep/slurm_keys.h"

namespace templora {
namespace {

Json described(Json schema, const char* description) {
  schema["description"] = description;
  return schema;
}

Json array_of(Json items) { return {{"type", "array"}, {"items", std::move(items)}, {"minItems", 1}}; }

/// An object of config keys, "train.epochs", each with what `of_key` makes of the schema of its values.
template <class OfKey>
Json object_of_keys(OfKey&& of_key) {
  Json schema{{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
  for (const auto& [key, values] : config_key_schemas()) schema["properties"][key] = of_key(values);
  return schema;
}

Json slurm_schema() {
  Json schema{{"type", "object"}, {"additionalProperties", false}, {"properties", Json::object()}};
  SlurmSettings settings;
  visit_slurm(settings, [&](const char* name, [[maybe_unused]] auto& member) {
    using Member = std::remove_reference_t<decltype(member)>;
    Json& out = schema["properties"][name];
    if constexpr (std::is_same_v<Member, std::int64_t>)
      out = {{"type", "integer"}, {"minimum", 1}, {"maximum", kMostOfSlurm}};
    else if constexpr (std::is_same_v<Member, std::string>)
      out = {{"type", {"string", "integer"}}};
    else
      out = {{"type", "array"}, {"items", {{"type", "string"}}}};
  });
  return schema;
}

}  // namespace

Json sweep_schema() {
  const Json values = object_of_keys([](const Json& value) { return array_of(value); });
  const Json text{{"type", "string"}}, texts{{"type", "array"}, {"items", text}};
  Json base = config_schema();
  base.erase("$schema");
  base.erase("title");
  base.erase("anyOf");  // an axis may give what the base lacks
  return {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
          {"title", "templora sweep file"},
          {"type", "object"},
          {"additionalProperties", false},
          {"required", Json::array({"base"})},
          {"properties",
           {{"$schema", described(text, "for editors, never read")},
            {"name", described(text, "the sweep's name, and its folder's; default: the file's name")},
            {"base", described({{"anyOf", {text, base}}}, "the config that all cells share: its path, or an object")},
            {"axes", described(values, "config key to values; all axes are crossed")},
            {"zip", described({{"type", "array"}, {"items", values}}, "groups of keys that move together")},
            {"points", described({{"type", "object"},
                                  {"minProperties", 1},
                                  {"additionalProperties", object_of_keys([](const Json& value) { return value; })}},
                                 "named settings: a name to the keys that it sets; the base has the others")},
            {"seeds",
             described(array_of({{"type", "integer"}, {"minimum", 0}}), "values of seed, crossed with the rest")},
            {"set",
             described(object_of_keys([&](const Json& value) {
                         return Json{{"anyOf", {text, value}}};
                       }),
                       "keys computed from others by an expression; what is not text is a constant")},
            {"where", described({{"anyOf", {text, texts}}}, "conditions; a combination stays where all of them hold")},
            {"slurm", described(slurm_schema(), "how a job array is submitted")},
            {"notes", described(Json::object(), "anything")}}}};
}

std::vector<std::string> sweep_file_keys() {
  std::vector<std::string> keys;
  const Json schema = sweep_schema();
  for (const auto& item : schema.at("properties").items())
    if (item.key() != "$schema") keys.push_back(item.key());
  return keys;
}

}  // namespace templora
