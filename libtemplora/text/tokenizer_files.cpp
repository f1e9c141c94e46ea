#include "text/tokenizer_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <set>

#include "core/error.h"
#include "core/file.h"
#include "core/json.h"

namespace templora {

namespace {

// The order in which the reference walks its special tokens, and so numbers new ones.
constexpr const char* kAttributes[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};
constexpr const char* kAdditional = "additional_special_tokens";
constexpr std::int64_t kLargestId = std::numeric_limits<std::int32_t>::max();

[[noreturn]] void refuse(const std::string& file, const std::string& field, const std::string& got,
                         const std::string& wanted) {
  throw Error(Exit::bad_input, fmt::format("{}: {}: got {}, wanted {}", file, field, got, wanted));
}

std::string shown(const Json& value) { return printable(shown_json(value), 60); }

/// One JSON object and the file it came from.
struct Source {
  std::string file;
  Json json;

  bool has(const char* key) const { return json.contains(key) && !json.at(key).is_null(); }

  bool flag(const char* key, bool if_absent, bool if_null) const {
    if (!json.contains(key)) return if_absent;
    const Json& value = json.at(key);
    if (value.is_null()) return if_null;
    if (!value.is_boolean()) refuse(file, key, shown(value), "true, false or null");
    return value.get<bool>();
  }
};

std::optional<Source> read_source(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  Source source{path.string(), parse_foreign_json(read_file(path), path.string())};
  if (!source.json.is_object()) refuse(source.file, "top level", shown(source.json), "an object");
  return source;
}

AddedToken read_token(const Source& source, const std::string& field, const Json& value) {
  if (!value.is_object() || !value.contains("content") || !value.at("content").is_string()) {
    refuse(source.file, field, shown(value), "an object with the text \"content\"");
  }
  AddedToken token;
  token.content = value.at("content").get<std::string>();
  if (token.content.empty()) refuse(source.file, field + ".content", "\"\"", "at least one character");
  const auto flag = [&](const char* key) {
    if (!value.contains(key)) return false;
    if (!value.at(key).is_boolean()) refuse(source.file, field + "." + key, shown(value.at(key)), "true or false");
    return value.at(key).get<bool>();
  };
  token.single_word = flag("single_word");
  token.lstrip = flag("lstrip");
  token.rstrip = flag("rstrip");
  return token;
}

SpecialToken read_special(const Source& source, const std::string& field, const Json& value) {
  if (value.is_string()) return {AddedToken{value.get<std::string>()}, true};
  return {read_token(source, field, value), false};
}

std::int64_t checked_id(const Source& source, const std::string& field, const Json& value) {
  // Unsigned 64-bit numbers would wrap in get<int64_t>().
  if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > kLargestId) ||
      value.get<std::int64_t>() < 0) {
    refuse(source.file, field, shown(value), fmt::format("a token id from 0 to {}", kLargestId));
  }
  return value.get<std::int64_t>();
}

std::int64_t id_from_key(const Source& source, const std::string& key) {
  const bool digits = !key.empty() && key.size() <= 10 && std::all_of(key.begin(), key.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
  if (!digits || (key.size() > 1 && key[0] == '0') || std::stoll(key) > kLargestId) {
    refuse(source.file, "added_tokens_decoder", fmt::format("the key \"{}\"", key.substr(0, 40)),
           fmt::format("a token id from 0 to {} in plain digits", kLargestId));
  }
  return std::stoll(key);
}

/// What the files say before the defaults of the class fill in.
struct Collected {
  std::map<std::string, SpecialToken> named;
  std::map<std::string, bool> named_null;
  std::vector<SpecialToken> additional;
  std::vector<std::pair<std::string, SpecialToken>> extra;
  std::map<std::string, AddedToken> by_content;  // tokens whose rules a special token of that content takes over
};

// These change what sentencepiece itself returns (sampling, reversal), which no Llama model wants.
void check_sp_model_kwargs(const Source& source) {
  if (!source.has("sp_model_kwargs")) return;
  const Json& kwargs = source.json.at("sp_model_kwargs");
  if (!kwargs.is_object()) refuse(source.file, "sp_model_kwargs", shown(kwargs), "an object");
  for (const auto& [key, value] : kwargs.items()) {
    const bool harmless = key == "num_threads" || key == "nbest_size" || key == "alpha" ||
                          ((key == "enable_sampling" || key == "add_bos" || key == "add_eos" || key == "reverse" ||
                            key == "emit_unk_piece") && value == false);
    if (!harmless) {
      refuse(source.file, "sp_model_kwargs." + key, shown(value), "nothing there but plain, unsampled encoding");
    }
  }
}

void read_named(const Source& source, Collected& out) {
  for (const char* key : kAttributes) {
    if (!source.json.contains(key)) continue;
    const Json& value = source.json.at(key);
    out.named.erase(key);
    out.named_null[key] = value.is_null();
    if (!value.is_null()) out.named.emplace(key, read_special(source, key, value));
  }
}

void read_additional(const Source& source, Collected& out) {
  if (!source.has(kAdditional)) return;
  const Json& list = source.json.at(kAdditional);
  if (!list.is_array()) refuse(source.file, kAdditional, shown(list), "an array");
  for (const Json& value : list) {
    const SpecialToken token = read_special(source, kAdditional, value);
    const bool known = std::any_of(out.additional.begin(), out.additional.end(), [&](const SpecialToken& old) {
      return old.plain == token.plain && old.token.content == token.token.content;
    });
    if (!known) out.additional.push_back(token);
  }
}

void read_extra(const Source& source, Collected& out) {
  if (!source.has("extra_special_tokens")) return;
  const Json& extra = source.json.at("extra_special_tokens");
  if (extra.is_array()) {  // what transformers 5 writes
    for (const Json& value : extra) out.extra.emplace_back("", read_special(source, "extra_special_tokens", value));
    return;
  }
  if (!extra.is_object())
    refuse(source.file, "extra_special_tokens", shown(extra), "an object of names and tokens, or an array of tokens");
  for (const auto& [name, value] : extra.items()) {
    out.extra.emplace_back(name, read_special(source, "extra_special_tokens." + name, value));
  }
}

void read_added_decoder(const Source& source, Collected& out, TokenizerSettings& settings) {
  const Json& decoder = source.json.at("added_tokens_decoder");
  if (!decoder.is_object()) refuse(source.file, "added_tokens_decoder", shown(decoder), "an object");
  for (const auto& [key, value] : decoder.items()) {
    const AddedToken token = read_token(source, "added_tokens_decoder." + key, value);
    settings.added[id_from_key(source, key)] = token;
    out.by_content[token.content] = token;
  }
}

void read_older_files(const std::filesystem::path& folder, Collected& out, TokenizerSettings& settings) {
  if (const auto map = read_source(folder / "special_tokens_map.json")) {
    read_named(*map, out);
    read_additional(*map, out);
  }
  if (const auto encoder = read_source(folder / "added_tokens.json")) {
    for (const auto& [content, value] : encoder->json.items()) {
      if (content.empty()) refuse(encoder->file, "key", "\"\"", "at least one character");
      const std::int64_t id = checked_id(*encoder, content, value);
      if (!settings.added.emplace(id, AddedToken{content}).second) {
        refuse(encoder->file, content, fmt::format("id {}, which another token has", id), "an id of its own");
      }
    }
  }
  if (const auto fast = read_source(folder / "tokenizer.json")) {
    if (!fast->has("added_tokens") || !fast->json.at("added_tokens").is_array()) {
      refuse(fast->file, "added_tokens", fast->has("added_tokens") ? shown(fast->json.at("added_tokens")) : "nothing",
             "an array");
    }
    for (const Json& value : fast->json.at("added_tokens")) {
      const AddedToken token = read_token(*fast, "added_tokens", value);
      if (!value.contains("id")) refuse(fast->file, "added_tokens", shown(value), "an \"id\"");
      settings.added[checked_id(*fast, "added_tokens.id", value.at("id"))] = token;
      out.by_content[token.content] = token;
    }
  }
}

void check_clashes(const std::filesystem::path& folder, const TokenizerSettings& settings) {
  std::map<std::string, std::int64_t> seen;
  for (const auto& [id, token] : settings.added) {
    const auto [found, fresh] = seen.emplace(token.content, id);
    if (!fresh) {
      refuse(folder.string(), "added tokens",
             fmt::format("\"{}\" with the ids {} and {}", token.content, found->second, id), "one id for a token");
    }
  }
}

/// Fills in the class's defaults and puts the special tokens into the reference's order.
void settle(Collected& in, TokenizerSettings& settings) {
  const std::pair<const char*, const char*> defaults[] = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}};
  for (const auto& [key, content] : defaults) {
    if (in.named.count(key) == 0 && !in.named_null[key]) in.named[key] = {AddedToken{content}, true};
  }
  const auto content_of = [&](const char* key) -> std::optional<std::string> {
    const auto found = in.named.find(key);
    if (found == in.named.end()) return std::nullopt;
    return found->second.token.content;
  };
  settings.bos = content_of("bos_token");
  settings.eos = content_of("eos_token");
  settings.unk = content_of("unk_token");

  // A content that an earlier attribute named is not added again; the additional ones may repeat each other.
  std::set<std::string> seen;
  for (const char* key : kAttributes) {
    const auto found = in.named.find(key);
    if (found == in.named.end() || !seen.insert(found->second.token.content).second) continue;
    SpecialToken special = found->second;
    const std::string name = key;
    const auto rules = in.by_content.find(special.token.content);
    if (rules != in.by_content.end()) {
      special = {rules->second, false};
    } else if (name == "bos_token" || name == "eos_token" || name == "unk_token" || name == "pad_token") {
      special.plain = false;  // the class turns these four into tokens without rules
    }
    settings.special.push_back(special);
  }
  for (const SpecialToken& token : in.additional) {
    settings.additional.push_back(token.token.content);
    if (seen.count(token.token.content) == 0) settings.special.push_back(token);
  }
  seen.insert(settings.additional.begin(), settings.additional.end());
  for (const auto& [name, token] : in.extra) {
    if (seen.insert(token.token.content).second) settings.special.push_back(token);
  }
}

}  // namespace

TokenizerSettings default_tokenizer_settings() {
  TokenizerSettings settings;
  Collected nothing;
  settle(nothing, settings);
  return settings;
}

TokenizerSettings read_tokenizer_settings(const std::filesystem::path& folder) {
  TokenizerSettings settings;
  Collected collected;
  const auto config = read_source(folder / "tokenizer_config.json");
  if (config) {
    check_sp_model_kwargs(*config);
    // LlamaTokenizer(legacy=None) means true; any other None is false.
    settings.legacy = config->flag("legacy", true, true);
    settings.add_prefix_space = config->flag("add_prefix_space", true, false);
    settings.add_bos = config->flag("add_bos_token", true, false);
    settings.add_eos = config->flag("add_eos_token", false, false);
    settings.clean_up_spaces = config->flag("clean_up_tokenization_spaces", false, false);
    settings.split_special_tokens = config->flag("split_special_tokens", false, false);
    read_named(*config, collected);
    read_additional(*config, collected);
    read_extra(*config, collected);
  }
  if (config && config->has("added_tokens_decoder")) {
    read_added_decoder(*config, collected, settings);
  } else {
    read_older_files(folder, collected, settings);
  }
  check_clashes(folder, settings);
  settle(collected, settings);

  const std::string where = (folder / "tokenizer_config.json").string();
  if (settings.add_bos && !settings.bos) refuse(where, "bos_token", "null", "a token, because add_bos_token is true");
  if (settings.add_eos && !settings.eos) refuse(where, "eos_token", "null", "a token, because add_eos_token is true");
  if (!settings.legacy && !settings.unk) refuse(where, "unk_token", "null", "a token, because legacy is false");
  return settings;
}

}  // namespace templora
