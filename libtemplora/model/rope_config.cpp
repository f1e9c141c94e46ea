#include "model/rope_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/log.h"
#include "core/nearest.h"

namespace templora {
namespace {

constexpr const char* kOriginal = "original_max_position_embeddings";

// YaRN's default for how much cos and sin grow with the factor (Peng et al. 2023, arXiv 2309.00071, eq. 22).
double yarn_scale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void parse_yarn(const JsonFields& fields, std::int64_t max_positions, RopeScaling& scaling) {
  scaling.type = RopeScaling::Type::yarn;
  // transformers takes the ratio of both lengths where the factor is null.
  if (fields.contains("factor") && !fields.has("factor"))
    scaling.factor = double(max_positions) / double(scaling.original_positions);
  const double beta_fast = fields.number("beta_fast", 0.0), beta_slow = fields.number("beta_slow", 0.0);
  if (beta_fast != 0) scaling.beta_fast = fields.positive("beta_fast");
  if (beta_slow != 0) scaling.beta_slow = fields.positive("beta_slow");
  scaling.truncate = fields.boolean("truncate", true);
  const double mscale = fields.number("mscale", 0.0), mscale_all_dim = fields.number("mscale_all_dim", 0.0);
  if (fields.has("attention_factor"))
    scaling.attention_factor = fields.positive("attention_factor");
  else if (mscale != 0 && mscale_all_dim != 0)
    scaling.attention_factor = yarn_scale(scaling.factor, mscale) / yarn_scale(scaling.factor, mscale_all_dim);
  else
    scaling.attention_factor = yarn_scale(scaling.factor, 1.0);
}

std::string rope_type_of(const JsonFields& fields) { return fields.text("rope_type", fields.text("type", "default")); }

RopeScaling parse_scaling(const Json& json, const std::string& where, std::int64_t max_positions) {
  const JsonFields fields(json, where);
  RopeScaling scaling;
  const std::string type = rope_type_of(fields);
  if (fields.number("partial_rotary_factor", 1.0) != 1.0)
    fields.refuse("partial_rotary_factor", "1: partial rotation is not supported");
  if (type == "default") return scaling;
  constexpr const char* kKinds[] = {"linear", "dynamic", "ntk", "yarn", "llama3"};
  if (std::find(std::begin(kKinds), std::end(kKinds), type) == std::end(kKinds))
    fields.refuse("rope_type", "\"" + printable(type, 60) + "\"", "default, linear, dynamic, ntk, yarn or llama3");
  if (type != "yarn" || fields.has("factor") || !fields.contains("factor")) scaling.factor = fields.positive("factor");
  scaling.original_positions = fields.size(kOriginal, max_positions);
  if (type == "linear") {
    scaling.type = RopeScaling::Type::linear;
  } else if (type == "dynamic") {
    scaling.type = RopeScaling::Type::dynamic;
    // transformers measures the growth against max_position_embeddings, whatever else the object holds.
    scaling.original_positions = max_positions;
  } else if (type == "ntk") {
    scaling.type = RopeScaling::Type::ntk;
  } else if (type == "yarn") {
    parse_yarn(fields, max_positions, scaling);
  } else {
    scaling.type = RopeScaling::Type::llama3;
    if (!fields.has(kOriginal)) fields.size(kOriginal);
    scaling.low_freq_factor = fields.positive("low_freq_factor");
    scaling.high_freq_factor = fields.positive("high_freq_factor");
    if (scaling.high_freq_factor <= scaling.low_freq_factor)
      fields.refuse("high_freq_factor", fmt::format("{}", scaling.high_freq_factor), "more than low_freq_factor");
  }
  return scaling;
}

Rope parse_rope(const Json& json, const std::string& where, double theta, std::int64_t max_positions) {
  return {JsonFields(json, where).positive("rope_theta", theta), parse_scaling(json, where, max_positions)};
}

// The object with its kind under one name and its base filled in: what two spellings of one thing have in common.
Json normal(Json json, double theta) {
  if (!json.contains("rope_type")) json["rope_type"] = json.value("type", Json("default"));
  json.erase("type");
  if (!json.contains("rope_theta")) json["rope_theta"] = theta;
  return Json(nlohmann::json(json));  // keys in one order
}

bool given(const JsonFields& fields, const char* key) {
  return fields.has(key) && !(fields.raw(key).is_object() && fields.raw(key).empty());
}

void note(const std::string& where, const std::string& what) {
  log_line(fmt::format("{}: {}, as transformers 5 does", where, what));
}

// One rope for all layers: rope_scaling wins over rope_parameters, and what stands inside over what stands beside it,
// but for original_max_position_embeddings.
Rope read_shared(const JsonFields& fields, const std::string& where, const ModelFamily& family,
                 std::int64_t max_positions) {
  const double theta = fields.positive("rope_theta", family.rope_theta);
  if (!given(fields, "rope_scaling") && !given(fields, "rope_parameters")) return {theta, {}};
  const char* key = given(fields, "rope_scaling") ? "rope_scaling" : "rope_parameters";
  for (const char* by_type : {"full_attention", "sliding_attention"})
    if (fields.raw(key).is_object() && fields.raw(key).contains(by_type))
      fields.refuse(key, fmt::format("an object by layer type (\"{}\")", by_type),
                    fmt::format("one for all layers, as {} has it", family.model_type));
  Json object = fields.raw(key);
  const std::string inside = where + ": " + key;
  const JsonFields own(object, inside);
  if (std::string(key) == "rope_scaling" && given(fields, "rope_parameters")) {
    const Json& other = fields.raw("rope_parameters");
    if (!other.is_object() || normal(object, theta) != normal(other, theta))
      note(where, "rope_scaling and rope_parameters differ; rope_scaling is used");
  }
  if (own.has("rope_theta") && fields.has("rope_theta") && own.positive("rope_theta") != theta)
    note(where,
         fmt::format("rope_theta is {} and in {} {}; the latter is used", theta, key, own.positive("rope_theta")));
  const std::string type = rope_type_of(own);
  if (own.has("type") && own.has("rope_type") && own.raw("type") != own.raw("rope_type"))
    note(inside, fmt::format("type is {} and rope_type {}; the latter is used", printable(shown_json(own.raw("type"))),
                             printable(type)));
  if (fields.has(kOriginal) && (type == "yarn" || type == "llama3")) {
    if (own.has(kOriginal) && own.raw(kOriginal) != fields.raw(kOriginal))
      note(where, fmt::format("{} is {} and in {} {}; the former is used", kOriginal, shown_json(fields.raw(kOriginal)),
                              key, shown_json(own.raw(kOriginal))));
    object[kOriginal] = fields.size(kOriginal);
  }
  if (std::string(family.model_type) == "phi3" && type != "default")
    own.refuse("rope_type", "\"" + type + "\"", "default: phi3 has no other kind but longrope, which is not supported");
  return parse_rope(object, inside, theta, max_positions);
}

// Olmo 3's: rope_parameters by layer type; the older rope_scaling, and rope_theta, are of layers with full attention
// only.
Ropes read_by_type(const JsonFields& fields, const std::string& where, const ModelFamily& family,
                   std::int64_t max_positions) {
  const Json empty = Json::object();
  const Json& parameters = fields.has("rope_parameters") ? fields.raw("rope_parameters") : empty;
  const JsonFields types(parameters, where + ": rope_parameters");
  for (const auto& item : parameters.items())
    if (item.key() != "full_attention" && item.key() != "sliding_attention")
      types.refuse(
          "content", "\"" + item.key() + "\"",
          fmt::format("full_attention and sliding_attention: {}'s angles are by layer type", family.model_type));
  const auto part = [&](const char* type) { return types.has(type) ? types.raw(type) : empty; };
  Json full = part("full_attention");
  const Json sliding = part("sliding_attention");
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const Json& object = std::string_view(key) == "rope_scaling" && fields.has(key) ? fields.raw(key) : full;
    if (!fields.has(kOriginal) || !object.is_object() || !object.contains(kOriginal)) continue;
    if (object.at(kOriginal) == fields.raw(kOriginal)) break;
    note(where, fmt::format("{} is {} and in {} {}; the latter is used", kOriginal,
                            printable(shown_json(fields.raw(kOriginal))), key,
                            printable(shown_json(object.at(kOriginal)))));
    break;
  }
  if (fields.has("rope_scaling")) {
    const Json& scaling = fields.raw("rope_scaling");
    const JsonFields check_object(scaling, where + ": rope_scaling");
    const JsonFields check_full(full, where + ": rope_parameters: full_attention");
    for (const auto& item : scaling.items()) {
      if (full.contains(item.key()) && full.at(item.key()) != item.value())
        note(where, fmt::format("{} is {} in rope_scaling and {} in rope_parameters; the former is used",
                                printable(item.key()), printable(shown_json(item.value())),
                                printable(shown_json(full.at(item.key())))));
      full[item.key()] = item.value();
    }
  }
  const double theta = fields.positive("rope_theta", family.rope_theta);
  if (theta != family.rope_theta && !sliding.contains("rope_theta"))
    note(where, fmt::format("rope_theta {} is of layers with full attention; those with a window have {}", theta,
                            family.rope_theta));
  return {parse_rope(full, where + ": the angles of full_attention", theta, max_positions),
          parse_rope(sliding, where + ": rope_parameters: sliding_attention", family.rope_theta, max_positions)};
}

}  // namespace

Ropes read_ropes(const JsonFields& fields, const std::string& where, const ModelFamily& family,
                 std::int64_t max_positions) {
  if (fields.number("partial_rotary_factor", 1.0) != 1.0)
    fields.refuse("partial_rotary_factor", "1: partial rotation is not supported");
  if (family.windows == ModelFamily::Windows::by_type) return read_by_type(fields, where, family, max_positions);
  const Rope shared = read_shared(fields, where, family, max_positions);
  return {shared, {}};
}

Rope read_rope_override(const Json& json, double theta, std::int64_t max_positions) {
  constexpr const char* kKnown[] = {"rope_type",    "type",       "factor", "original_max_position_embeddings",
                                    "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow",
                                    "truncate",     "attention_factor", "mscale", "mscale_all_dim",
                                    "partial_rotary_factor", "rope_theta", "finetuned"};
  for (const auto& item : json.items())
    if (std::find(std::begin(kKnown), std::end(kKnown), item.key()) == std::end(kKnown))
      throw Error(Exit::usage,
                  fmt::format("model.rope_scaling: {}: unknown key; did you mean \"{}\"?", printable(item.key()),
                              nearest_name(item.key(), {std::begin(kKnown), std::end(kKnown)})));
  try {
    return parse_rope(json, "model.rope_scaling", theta, max_positions);
  } catch (const Error& error) {
    throw Error(Exit::usage, error.what());
  }
}

Json to_json(const RopeScaling& scaling) {
  switch (scaling.type) {
    case RopeScaling::Type::none:
    case RopeScaling::Type::ntk: break;
    case RopeScaling::Type::linear: return {{"rope_type", "linear"}, {"factor", scaling.factor}};
    case RopeScaling::Type::dynamic: return {{"rope_type", "dynamic"}, {"factor", scaling.factor}};
    case RopeScaling::Type::yarn:
      return {{"rope_type", "yarn"},
              {"factor", scaling.factor},
              {kOriginal, scaling.original_positions},
              {"beta_fast", scaling.beta_fast},
              {"beta_slow", scaling.beta_slow},
              {"truncate", scaling.truncate},
              {"attention_factor", scaling.attention_factor}};
    case RopeScaling::Type::llama3:
      return {{"rope_type", "llama3"},
              {"factor", scaling.factor},
              {kOriginal, scaling.original_positions},
              {"low_freq_factor", scaling.low_freq_factor},
              {"high_freq_factor", scaling.high_freq_factor}};
  }
  return nullptr;
}

double ntk_theta(double theta, double stretch, std::int64_t head_dim) {
  return theta * std::pow(stretch, double(head_dim) / double(head_dim - 2));
}

}  // namespace templora
