#include "text/json_tokenizer_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_map>
#include <unordered_set>

#include "core/json_fields.h"
#include "text/code_points.h"

namespace templora {
namespace {

constexpr std::size_t kMostPipelineSteps = 64;

/// ByteLevel's own pattern.
constexpr const char* kByteLevelPattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// One object with a "type": a step, or a sequence of steps.
struct Part {
  const Json& json;
  std::string where;  // file and field
  JsonFields fields;
  std::string type;

  Part(const Json& value, const std::string& name)
      : json(value), where(name), fields(value, name), type(fields.text("type", "")) {}

  [[noreturn]] void unknown_type(const std::string& known) const {
    fields.refuse("type", type.empty() ? "nothing" : "\"" + type + "\"",
                  known + "; no other is supported: use another tokenizer");
  }

  /// A key that is not among these may say something that changes ids.
  void only(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : json.items()) {
      if (key == "type" || value.is_null() || std::find(known.begin(), known.end(), key) != known.end()) continue;
      fields.refuse(printable(key, 40), shown_json(value),
                    fmt::format("no such key of {}; use another tokenizer", type));
    }
  }

  std::string one_of(const char* key, const char* fallback, std::initializer_list<std::string_view> values) const {
    const std::string value = fields.text(key, fallback);
    if (std::find(values.begin(), values.end(), value) == values.end())
      fields.refuse(key, "\"" + value + "\"", fmt::format("one of {}", fmt::join(values, ", ")));
    return value;
  }

  TextPattern pattern(const char* key) const {
    const JsonFields inner(fields.at(key), where + "." + key);
    TextPattern out;
    if (inner.has("Regex")) {
      out.regex.emplace(inner.text("Regex", ""), where + "." + key);
      return out;
    }
    out.literal = inner.text("String", "");
    if (out.literal.empty()) inner.refuse("String", shown_json(inner.raw("String")), "text, or a Regex beside it");
    return out;
  }

  std::string character(const char* key, const char* fallback) const {
    const std::string text = fields.text(key, fallback);
    const char* at = text.data();
    if (!text.empty()) next_code_point(at);
    if (text.empty() || at != text.data() + text.size()) fields.refuse(key, "\"" + text + "\"", "one character");
    return text;
  }
};

/// Calls `step` for each step of what may be a step, a sequence of them, or null.
template <class Step>
void each_step(const Json& value, const std::string& where, const char* list, Step&& step, std::size_t depth = 0) {
  if (value.is_null()) return;
  const Part part(value, where);
  if (part.type != "Sequence") return step(part);
  part.only({list});
  const Json& items = part.fields.at(list);
  if (!items.is_array() || items.size() > kMostPipelineSteps || depth > 8)
    part.fields.refuse(list, shown_json(items), fmt::format("an array of at most {} steps", kMostPipelineSteps));
  for (std::size_t i = 0; i < items.size(); ++i)
    each_step(items[i], fmt::format("{}.{}[{}]", where, list, i), list, step, depth + 1);
}

NormalizerStep read_normalizer(const Part& part) {
  NormalizerStep step;
  if (part.type == "NFC") {
    part.only({});
  } else if (part.type == "Prepend") {
    part.only({"prepend"});
    step.kind = NormalizerStep::Kind::prepend;
    step.content = part.fields.text("prepend", "");
    if (step.content.empty()) part.fields.refuse("prepend", "a text");
  } else if (part.type == "Replace") {
    part.only({"pattern", "content"});
    step.kind = NormalizerStep::Kind::replace;
    step.pattern = part.pattern("pattern");
    step.content = part.fields.text("content", "");
  } else {
    part.unknown_type("NFC, Prepend, Replace or Sequence");
  }
  return step;
}

PreTokenizerStep::Behavior behavior_named(const std::string& name) {
  using Behavior = PreTokenizerStep::Behavior;
  if (name == "Removed") return Behavior::removed;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  return name == "Contiguous" ? Behavior::contiguous : Behavior::isolated;
}

PreTokenizerStep read_metaspace(const Part& part) {
  using Prepend = PreTokenizerStep::Prepend;
  part.only({"replacement", "prepend_scheme", "split", "add_prefix_space", "str_rep"});
  PreTokenizerStep step;
  step.kind = PreTokenizerStep::Kind::metaspace;
  step.replacement = part.character("replacement", "");
  const std::string scheme = part.one_of("prepend_scheme", "always", {"always", "first", "never"});
  step.prepend = scheme == "always" ? Prepend::always : scheme == "first" ? Prepend::first : Prepend::never;
  if (!part.fields.boolean("add_prefix_space", true) && step.prepend != Prepend::never)
    part.fields.refuse("add_prefix_space", "false, and prepend_scheme " + scheme, "prepend_scheme never beside it");
  step.splits = part.fields.boolean("split", true);
  return step;
}

PreTokenizerStep read_pre_tokenizer(const Part& part) {
  PreTokenizerStep step;
  if (part.type == "Split") {
    part.only({"pattern", "behavior", "invert"});
    step.pattern = part.pattern("pattern");
    step.behavior = behavior_named(
        part.one_of("behavior", "", {"Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"}));
    step.invert = part.fields.boolean("invert", false);
  } else if (part.type == "Digits") {
    part.only({"individual_digits"});
    step.kind = PreTokenizerStep::Kind::digits;
    const bool individual = part.fields.boolean("individual_digits", false);
    step.behavior = individual ? PreTokenizerStep::Behavior::isolated : PreTokenizerStep::Behavior::contiguous;
  } else if (part.type == "Metaspace") {
    step = read_metaspace(part);
  } else if (part.type == "ByteLevel") {
    part.only({"add_prefix_space", "trim_offsets", "use_regex"});
    step.kind = PreTokenizerStep::Kind::byte_level;
    step.add_prefix_space = part.fields.boolean("add_prefix_space", true);
    step.splits = part.fields.boolean("use_regex", true);
    if (step.splits) step.pattern.regex.emplace(kByteLevelPattern, part.where);
  } else {
    part.unknown_type("Split, Digits, Metaspace, ByteLevel or Sequence");
  }
  return step;
}

DecoderStep read_decoder(const Part& part) {
  using Kind = DecoderStep::Kind;
  DecoderStep step;
  if (part.type == "ByteLevel") {
    step.kind = Kind::byte_level;
  } else if (part.type == "ByteFallback") {
    step.kind = Kind::byte_fallback;
  } else if (part.type == "Fuse") {
    step.kind = Kind::fuse;
  } else if (part.type == "Replace") {
    step.kind = Kind::replace;
    step.pattern = part.pattern("pattern");
    step.content = part.fields.text("content", "");
  } else if (part.type == "Strip") {
    step.kind = Kind::strip;
    step.content = part.character("content", "");
    step.start = static_cast<std::size_t>(part.fields.size("start", 0, 0));
    step.stop = static_cast<std::size_t>(part.fields.size("stop", 0, 0));
  } else if (part.type == "Metaspace") {
    const PreTokenizerStep same = read_metaspace(part);
    step.kind = Kind::metaspace;
    step.replacement = same.replacement;
    step.drops_first = same.prepend != PreTokenizerStep::Prepend::never;
  } else {
    part.unknown_type("ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace or Sequence");
  }
  return step;
}

using Ids = std::vector<std::int64_t>;

std::int64_t id_in(const Part& part, const char* field, const Json& value) {
  return part.fields.size_of(field, value, 0, kLargestJsonId);
}

/// The ids that a template's special token stands for.
void append_special(const Part& part, const Json& item, Ids& out) {
  const JsonFields token(item, part.where + ".single.SpecialToken");
  const std::string name = token.text("id", "");
  const Json& map = part.fields.at("special_tokens");
  if (!map.is_object() || !map.contains(name) || !map.at(name).is_object() || !map.at(name).contains("ids") ||
      !map.at(name).at("ids").is_array()) {
    part.fields.refuse("special_tokens", "none for \"" + name + "\", which the template names", "its ids");
  }
  for (const Json& id : map.at(name).at("ids")) out.push_back(id_in(part, "special_tokens", id));
}

void read_template(const Part& part, Ids& before, Ids& after) {
  const Json& items = part.fields.at("single");
  if (!items.is_array()) part.fields.refuse("single", "an array of pieces");
  Ids head, tail;
  bool behind = false;
  for (const Json& item : items) {
    if (item.is_object() && item.contains("SpecialToken")) {
      append_special(part, item.at("SpecialToken"), behind ? tail : head);
      continue;
    }
    const bool text = item.is_object() && item.contains("Sequence") && item.at("Sequence").is_object() &&
                      item.at("Sequence").contains("id") && item.at("Sequence").at("id") == "A";
    if (!text || behind)
      part.fields.refuse("single", shown_json(item), "special tokens and one {\"Sequence\": {\"id\": \"A\"}}");
    behind = true;
  }
  if (!behind) part.fields.refuse("single", shown_json(items), "a template with {\"Sequence\": {\"id\": \"A\"}}");
  before.insert(before.begin(), head.begin(), head.end());
  after.insert(after.end(), tail.begin(), tail.end());
}

/// Roberta's and Bert's: one token before the text, one behind it.
void read_pair(const Part& part, Ids& before, Ids& after) {
  for (const char* key : {"cls", "sep"}) {
    const Json& value = part.fields.at(key);
    if (!value.is_array() || value.size() != 2) part.fields.refuse(key, "a token and its id");
    const std::int64_t id = id_in(part, key, value[1]);
    if (key[0] == 'c')
      before.insert(before.begin(), id);
    else
      after.push_back(id);
  }
}

void read_vocabulary(const JsonFields& model, JsonTokenizerFile& out) {
  const Json& vocabulary = model.at("vocab");
  if (!vocabulary.is_object() || vocabulary.empty()) model.refuse("vocab", "an object of pieces and ids");
  std::unordered_map<std::int64_t, std::string_view> holders;
  for (const auto& [piece, value] : vocabulary.items()) {
    const std::int64_t id = model.size_of("vocab", value, 0, kLargestJsonId);
    const auto [holder, fresh] = holders.emplace(id, piece);
    if (!fresh) {
      model.refuse(
          "vocab",
          fmt::format("the id {} for \"{}\" and \"{}\"", id, printable(holder->second, 40), printable(piece, 40)),
          "one piece for an id");
    }
    out.vocabulary.emplace_back(piece, static_cast<std::int32_t>(id));
  }
  std::sort(out.vocabulary.begin(), out.vocabulary.end(),
            [](const auto& a, const auto& b) { return a.second < b.second; });
}

void read_merges(const JsonFields& model, JsonTokenizerFile& out) {
  const Json& merges = model.at("merges");
  if (!merges.is_array()) model.refuse("merges", "an array");
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const Json& merge = merges[i];
    const auto refuse = [&] {
      model.refuse(fmt::format("merges[{}]", i), shown_json(merge),
                   "two pieces, with one space between them or as an array");
    };
    if (merge.is_array()) {
      if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) refuse();
      out.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
    } else {
      if (!merge.is_string()) refuse();
      const std::string& text = merge.get_ref<const std::string&>();
      const std::size_t space = text.find(' ');
      if (text.starts_with("#version")) continue;
      if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) refuse();
      out.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
    }
  }
}

void read_model(const Json& value, const std::string& where, JsonTokenizerFile& out) {
  const Part part(value, where);
  const JsonFields& model = part.fields;
  if (part.type != "BPE" && !(part.type.empty() && model.has("merges"))) part.unknown_type("BPE");
  part.only({"dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk", "byte_fallback",
             "ignore_merges", "vocab", "merges"});
  if (model.number("dropout", 0) != 0) model.refuse("dropout", "null or 0: ids by chance are not supported");
  for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!model.text(key, "").empty()) model.refuse(key, "null or \"\": use another tokenizer");
  }
  if (model.has("unk_token")) out.model.unknown = model.text("unk_token", "");
  out.model.fuse_unknown = model.boolean("fuse_unk", false);
  out.model.byte_fallback = model.boolean("byte_fallback", false);
  out.model.ignore_merges = model.boolean("ignore_merges", false);
  read_vocabulary(model, out);
  read_merges(model, out);
}

void read_added(const JsonFields& top, const std::string& where, JsonTokenizerFile& out) {
  if (!top.has("added_tokens")) return;
  const Json& list = top.at("added_tokens");
  if (!list.is_array()) top.refuse("added_tokens", "an array");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonFields token(list[i], fmt::format("{}: added_tokens[{}]", where, i));
    JsonAddedToken one;
    one.rules.content = token.text("content", "");
    if (one.rules.content.empty()) token.refuse("content", "a text of at least one character");
    one.rules.single_word = token.boolean("single_word", false);
    one.rules.lstrip = token.boolean("lstrip", false);
    one.rules.rstrip = token.boolean("rstrip", false);
    one.special = token.boolean("special", false);
    one.normalized = token.boolean("normalized", !one.special);
    out.added_ids.push_back(token.size("id", {}, 0, kLargestJsonId));
    out.added.push_back(std::move(one));
  }
}

/// A value in one form, whatever the order of its keys.
std::string in_one_form(const Json& value) { return nlohmann::json(value).dump(); }

}  // namespace

JsonTokenizerFile read_json_tokenizer(const Json& json, const std::string& where) {
  const JsonFields top(json, where);
  JsonTokenizerFile out;
  const auto field = [&](const char* name) { return where + ": " + name; };
  read_model(top.at("model"), field("model"), out);
  read_added(top, where, out);
  each_step(top.raw("normalizer"), field("normalizer"), "normalizers",
            [&](const Part& part) { out.normalizer.push_back(read_normalizer(part)); });
  each_step(top.raw("pre_tokenizer"), field("pre_tokenizer"), "pretokenizers", [&](const Part& part) {
    if (out.model.byte_level) {
      part.fields.refuse("type", "\"" + part.type + "\" behind ByteLevel",
                         "ByteLevel as the last step; use another tokenizer");
    }
    out.pre_tokenizer.push_back(read_pre_tokenizer(part));
    out.model.byte_level = out.pre_tokenizer.back().kind == PreTokenizerStep::Kind::byte_level;
  });
  each_step(top.raw("decoder"), field("decoder"), "decoders",
            [&](const Part& part) { out.decoder.push_back(read_decoder(part)); });
  each_step(top.raw("post_processor"), field("post_processor"), "processors", [&](const Part& part) {
    out.has_post_processor = true;
    if (part.type == "TemplateProcessing")
      read_template(part, out.before, out.after);
    else if (part.type == "RobertaProcessing" || part.type == "BertProcessing")
      read_pair(part, out.before, out.after);
    else if (part.type != "ByteLevel")  // which only moves offsets
      part.unknown_type("TemplateProcessing, ByteLevel, RobertaProcessing, BertProcessing or Sequence");
  });
  if (out.before.size() > 1 || out.after.size() > 1) {
    top.refuse("post_processor",
               fmt::format("{} tokens before a text and {} behind it", out.before.size(), out.after.size()),
               "at most one on each side");
  }
  out.meaning = in_one_form(top.raw("normalizer")) + "\n" + in_one_form(top.raw("pre_tokenizer"));
  return out;
}

}  // namespace templora
