#include "text/json_tokenizer_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>

#include "core/file.h"
#include "core/json_fields.h"

namespace templora {
namespace {

namespace fs = std::filesystem;

constexpr const char* kNames[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                  "pad_token", "cls_token", "mask_token"};

constexpr const char* kSpecific = "model_specific_special_tokens";

struct ConfigPart {
  std::string where;
  Json json;
};

std::optional<ConfigPart> read_part(const fs::path& file) {
  if (!fs::exists(file)) return std::nullopt;
  ConfigPart source{file.string(), parse_foreign_json(read_file(file), file.string())};
  JsonFields(source.json, source.where);  // an object
  return source;
}

/// A token as a text, or as an object with rules.
struct Given {
  JsonAddedToken token;
  bool plain = false;
};

JsonAddedToken read_token(const Json& value, const std::string& where) {
  const JsonFields fields(value, where);
  JsonAddedToken token;
  token.rules.content = fields.text("content", "");
  token.rules.single_word = fields.boolean("single_word", false);
  token.rules.lstrip = fields.boolean("lstrip", false);
  token.rules.rstrip = fields.boolean("rstrip", false);
  token.special = fields.boolean("special", false);
  token.normalized = fields.boolean("normalized", !token.special);
  return token;
}

Given read_given(const Json& value, const std::string& where) {
  if (!value.is_string()) return {read_token(value, where), false};
  return {JsonAddedToken{AddedToken{value.get<std::string>()}, false, true}, true};
}

class ConfigReader {
 public:
  ConfigReader(const fs::path& folder, const std::vector<JsonAddedToken>& known) : folder_(folder), known_(known) {}

  JsonTokenizerConfig read() {
    JsonTokenizerConfig out;
    const auto config = read_part(folder_ / "tokenizer_config.json");
    if (config) {
      const JsonFields fields(config->json, config->where);
      out.split_special_tokens = fields.boolean("split_special_tokens", false);
      for (const auto& [key, asked] : {std::pair{"add_bos_token", &out.add_bos}, {"add_eos_token", &out.add_eos}})
        if (fields.has(key) && fields.raw(key).is_boolean()) *asked = fields.raw(key).get<bool>();
      read_named(*config, false);
    }
    if (config && config->json.contains("added_tokens_decoder"))
      read_decoder(*config);
    else
      read_older();
    fill_defaults(config);
    settle(out);
    return out;
  }

 private:
  bool is_known(const std::string& content) const {
    return std::any_of(known_.begin(), known_.end(), [&](const auto& token) { return token.rules.content == content; });
  }

  bool is_named(const std::string& content) const {
    return std::any_of(named_.begin(), named_.end(),
                       [&](const auto& entry) { return entry.second.token.rules.content == content; });
  }

  void put(const std::string& name, Given given) {
    const auto same =
        std::find_if(named_.begin(), named_.end(), [&](const auto& entry) { return entry.first == name; });
    if (same == named_.end())
      named_.emplace_back(name, std::move(given));
    else
      same->second = std::move(given);
  }

  void read_names(const Json& tokens, const std::string& where) {
    for (const auto& [name, value] : tokens.items()) put(name, read_given(value, where + "." + printable(name, 40)));
  }

  /// bos_token and the like, what else ends in _token, and the further special tokens. `second`: of
  /// special_tokens_map.json.
  void read_named(const ConfigPart& source, bool second) {
    const JsonFields fields(source.json, source.where);
    for (const auto& [key, value] : source.json.items()) {
      const bool standard = std::find(std::begin(kNames), std::end(kNames), key) != std::end(kNames);
      const bool token = value.is_string() || (value.is_object() && (standard || value.contains("__type")));
      if (standard && value.is_null()) absent_.push_back(key);
      if (!key.ends_with("_token") || (!token && !(standard && !value.is_null() && !value.is_boolean()))) continue;
      put(key, read_given(value, fmt::format("{}: {}", source.where, key)));
    }
    if (fields.has(kSpecific)) {
      if (!fields.raw(kSpecific).is_object()) fields.refuse(kSpecific, "an object of names and tokens");
      read_names(fields.raw(kSpecific), fmt::format("{}: {}", source.where, kSpecific));
    }
    const char* key = fields.has("extra_special_tokens") && !fields.raw("extra_special_tokens").empty()
                          ? "extra_special_tokens"
                          : "additional_special_tokens";
    if (!fields.has(key)) return;
    const Json& extra = fields.raw(key);
    const std::string where = fmt::format("{}: {}", source.where, key);
    if (!extra.is_structured()) fields.refuse(key, "an array of tokens, or an object of names and tokens");
    if (extra.is_object()) return read_names(extra, where);
    // What the first file lists under either name stands; the second one adds to it only under the newer name.
    if (second && has_extra_ && std::string_view(key) == "additional_special_tokens") return;
    has_extra_ = true;
    for (const Json& value : extra) extra_.push_back(read_given(value, where));
  }

  void take(std::int64_t id, JsonAddedToken token) {
    by_content_[token.rules.content] = token;
    decoder_[id] = std::move(token);
  }

  void read_decoder(const ConfigPart& source) {
    const JsonFields fields(source.json, source.where);
    const Json& decoder = fields.at("added_tokens_decoder");
    if (!decoder.is_object()) fields.refuse("added_tokens_decoder", "an object of ids and tokens");
    for (const auto& [key, value] : decoder.items()) {
      const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
      const bool digits = !key.empty() && key.size() <= 9 && std::all_of(key.begin(), key.end(), is_digit);
      if (!digits || std::stoll(key) > kLargestJsonId) {
        fields.refuse("added_tokens_decoder", fmt::format("the key \"{}\"", printable(key, 40)),
                      fmt::format("an id up to {}", kLargestJsonId));
      }
      take(std::stoll(key), read_token(value, fmt::format("{}: added_tokens_decoder.{}", source.where, key)));
    }
  }

  void read_older() {
    if (const auto map = read_part(folder_ / "special_tokens_map.json")) read_named(*map, true);
    if (const auto encoder = read_part(folder_ / "added_tokens.json")) {
      const JsonFields fields(encoder->json, encoder->where);
      for (const auto& [content, value] : encoder->json.items()) {
        const auto names = [&](const Given& given) { return given.token.rules.content == content; };
        const bool special = is_named(content) || std::any_of(extra_.begin(), extra_.end(), names);
        take(fields.size_of(printable(content, 40).c_str(), value, 0, kLargestJsonId),
             {AddedToken{content}, !special, special});
      }
    }
    for (const JsonAddedToken& token : known_) by_content_[token.rules.content] = token;
  }

  // A class that the folder names has tokens of its own where the files are silent.
  void fill_defaults(const std::optional<ConfigPart>& config) {
    std::string name = config ? JsonFields(config->json, config->where).text("tokenizer_class", "") : "";
    if (name.ends_with("Fast")) name.resize(name.size() - 4);
    std::vector<std::pair<std::string, std::string>> defaults;
    if (name == "GPT2Tokenizer") defaults = {{"bos_token", "<|endoftext|>"}, {"eos_token", "<|endoftext|>"}};
    if (name == "Qwen2Tokenizer") defaults = {{"eos_token", "<|endoftext|>"}};
    if (name == "LlamaTokenizer") defaults = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};
    for (const auto& [key, content] : defaults) {
      const auto has_key = [&, name = key](const auto& entry) { return entry.first == name; };
      const bool said = std::any_of(named_.begin(), named_.end(), has_key) ||
                        std::find(absent_.begin(), absent_.end(), key) != absent_.end();
      if (said || !(is_known(content) || by_content_.count(content) != 0)) continue;
      put(key, {JsonAddedToken{AddedToken{content}, false, true}, true});
    }
  }

  void settle(JsonTokenizerConfig& out) {
    std::vector<std::string> contents;
    for (const JsonAddedToken& token : known_) contents.push_back(token.rules.content);
    const auto add = [&](JsonAddedToken token) {
      const std::string content = token.rules.content;
      if (content.empty() || std::find(contents.begin(), contents.end(), content) != contents.end()) return;
      out.added.push_back(std::move(token));
      contents.push_back(content);
    };
    for (const auto& [id, token] : decoder_) {
      if (std::find(known_.begin(), known_.end(), token) != known_.end()) continue;
      JsonAddedToken one = token;
      one.special = one.special || is_named(one.rules.content);
      out.added.push_back(one);  // also where it gives a known token other rules
      contents.push_back(one.rules.content);
    }
    const auto with_rules = [&](const Given& given) {
      const auto found = by_content_.find(given.token.rules.content);
      JsonAddedToken token = found != by_content_.end() ? found->second : given.token;
      token.special = true;
      if (given.plain && found == by_content_.end()) token.normalized = false;
      return token;
    };
    for (const char* name : kNames) {
      for (const auto& [key, given] : named_) {
        if (key != name) continue;
        add(with_rules(given));
        if (key == "bos_token") out.bos = given.token.rules.content;
        if (key == "eos_token") out.eos = given.token.rules.content;
      }
    }
    for (const auto& [key, given] : named_) add(with_rules(given));
    for (const Given& given : extra_) add(given.plain ? JsonAddedToken{given.token.rules, false, true} : given.token);
  }

  const fs::path& folder_;
  const std::vector<JsonAddedToken>& known_;
  std::vector<std::pair<std::string, Given>> named_;
  std::vector<std::string> absent_;  // named, and null
  std::vector<Given> extra_;
  bool has_extra_ = false;
  std::map<std::int64_t, JsonAddedToken> decoder_;
  std::unordered_map<std::string, JsonAddedToken> by_content_;
};

}  // namespace

JsonTokenizerConfig read_json_tokenizer_config(const fs::path& folder, const std::vector<JsonAddedToken>& known) {
  return ConfigReader(folder, known).read();
}

}  // namespace templora
