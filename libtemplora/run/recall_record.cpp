#include "run/recall_record.h"

#include <cmath>

#include "core/json_fields.h"
#include "run/json_lines.h"

namespace templora {
namespace {

constexpr std::int64_t kMost = std::int64_t{1} << 53;

std::int64_t count(const JsonFields& fields, const char* name) { return fields.size(name, {}, 0, kMost); }

std::optional<std::int64_t> count_if_any(const JsonFields& fields, const char* name) {
  return fields.has(name) ? std::optional(count(fields, name)) : std::nullopt;
}

std::string text(const JsonFields& fields, const char* name) {
  const Json& value = fields.at(name);
  if (!value.is_string()) fields.refuse(name, "a string");
  return value.get<std::string>();
}

const Json& array(const JsonFields& fields, const char* name) {
  const Json& value = fields.at(name);
  if (!value.is_array()) fields.refuse(name, "an array");
  return value;
}

}  // namespace

Json to_json(const FactRecord& r) {
  Json mentions = Json::array();
  for (const auto& [first, end] : r.mentions) mentions.push_back({first, end});
  return {{"book", r.book},
          {"book_index", r.book_index},
          {"fact", r.fact},
          {"kind", r.kind},
          {"asked", r.asked},
          {"times", r.times},
          {"subject", r.subject},
          {"sentence", r.sentence},
          {"answer", r.answer},
          {"answer_index", r.answer_index},
          {"first_answer", optional_json(r.first_answer)},
          {"unplanted", r.unplanted},
          {"mentions", mentions}};
}

FactRecord fact_record_from_json(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  FactRecord r;
  r.book = text(fields, "book");
  r.book_index = count(fields, "book_index");
  r.fact = count(fields, "fact");
  r.kind = text(fields, "kind");
  fields.at("asked");
  r.asked = fields.boolean("asked", true);
  r.times = count(fields, "times");
  r.subject = text(fields, "subject");
  r.sentence = text(fields, "sentence");
  r.answer = text(fields, "answer");
  r.answer_index = count(fields, "answer_index");
  r.first_answer = count_if_any(fields, "first_answer");
  r.unplanted = text(fields, "unplanted");
  for (const Json& mention : array(fields, "mentions")) {
    if (!mention.is_array() || mention.size() != 2) fields.refuse("mentions", "pairs of tokens");
    r.mentions.emplace_back(fields.size_of("mentions", mention[0], 0, kMost),
                            fields.size_of("mentions", mention[1], 0, kMost));
  }
  return r;
}

Json to_json(const ProbeRecord& r) {
  Json json{{"book_index", r.book_index},
            {"fact", r.fact},
            {"rung", r.rung},
            {"arm", r.arm},
            {"distance_tokens", r.distance_tokens},
            {"tokens_since", r.tokens_since},
            {"chunk", r.chunk},
            {"adapter_version", r.adapter_version},
            {"nll", r.nll},
            {"tokens", r.tokens},
            {"rank", optional_json(r.rank)},
            {"of", optional_json(r.of)},
            {"correct", optional_json(r.correct)},
            {"f1", optional_json(r.f1)}};
  if (!r.answers_nll.empty()) json["answers_nll"] = r.answers_nll;
  if (r.written) json["written"] = *r.written;
  return json;
}

ProbeRecord probe_record_from_json(const Json& json, const std::string& where) {
  const JsonFields fields(json, where);
  ProbeRecord r;
  r.book_index = count(fields, "book_index");
  r.fact = count(fields, "fact");
  r.rung = text(fields, "rung");
  r.arm = text(fields, "arm");
  r.distance_tokens = count(fields, "distance_tokens");
  r.tokens_since = count(fields, "tokens_since");
  r.chunk = count(fields, "chunk");
  r.adapter_version = count(fields, "adapter_version");
  r.nll = fields.number("nll");
  r.tokens = count(fields, "tokens");
  r.rank = count_if_any(fields, "rank");
  r.of = count_if_any(fields, "of");
  if (fields.has("correct")) r.correct = fields.boolean("correct", false);
  if (fields.has("f1")) r.f1 = fields.number("f1");
  if (fields.has("answers_nll"))
    for (const Json& nll : array(fields, "answers_nll")) {
      if (!nll.is_number()) fields.refuse("answers_nll", "an array of numbers");
      r.answers_nll.push_back(nll.get<double>());
    }
  if (fields.has("written")) r.written = text(fields, "written");
  return r;
}

RecallData read_recall(const fs::path& run) {
  RecallData data;
  if (!fs::exists(run / kFactsName)) return data;
  const auto read = [&](const char* name, const auto& use) {
    if (!fs::exists(run / name)) return;  // nothing was asked yet
    each_line(run / name, (run / name).string(), [&](std::string_view line, const std::string& where) {
      use(parse_json(line, where), where);
    });
  };
  read(kFactsName, [&](const Json& json, const std::string& where) {
    data.facts.push_back(fact_record_from_json(json, where));
  });
  read(kProbesName, [&](const Json& json, const std::string& where) {
    data.probes.push_back(probe_record_from_json(json, where));
  });
  return data;
}

}  // namespace templora
