#include "text/tokenizer.h"

#include <fmt/format.h>

#include "core/error.h"
#include "core/file.h"
#include "core/hub_cache.h"
#include "core/json.h"
#include "core/utf8.h"
#include "text/json_tokenizer.h"
#include "text/slow_tokenizer.h"

namespace templora {
namespace {

namespace fs = std::filesystem;

/// The tokenizer class that a folder names, or nothing.
std::string class_of(const fs::path& folder) {
  for (const char* name : {"tokenizer_config.json", "config.json"}) {
    const fs::path file = folder / name;
    if (!fs::exists(file)) continue;
    const Json json = parse_foreign_json(read_file(file), file.string());
    if (!json.is_object() || !json.contains("tokenizer_class") || json.at("tokenizer_class").is_null()) continue;
    const Json& value = json.at("tokenizer_class");
    if (!value.is_string()) {
      throw Error(Exit::bad_input, fmt::format("{}: tokenizer_class: got {}, wanted the name of a class", file.string(),
                                               printable(shown_json(value), 60)));
    }
    return value.get<std::string>();
  }
  return "";
}

bool starts_with_llama(const std::string& name) { return lower_ascii(name).starts_with("llama"); }

}  // namespace

// A sentencepiece model starts with a field's number.
bool is_tokenizer_json(std::string_view bytes) {
  const std::size_t first = bytes.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && bytes[first] == '{';
}

Tokenizer::Tokenizer(const fs::path& path) {
  if (!fs::exists(path)) {
    throw Error(Exit::bad_input,
                fmt::format("{}: no such file or folder, wanted a tokenizer.model, a tokenizer.json or the folder that "
                            "holds one; is model.path or model.tokenizer right?{}",
                            path.string(), how_to_fetch(path)));
  }
  if (!fs::is_directory(path)) {
    source_ = fmt::format("{} (that file alone)", path.string());
    engine_ = is_tokenizer_json(read_file(path)) ? open_json_tokenizer(path, fs::path())
                                                 : open_slow_tokenizer(path, default_tokenizer_settings());
    return;
  }
  const fs::path model = path / "tokenizer.model", json = path / "tokenizer.json";
  const bool has_model = fs::exists(model), has_json = fs::exists(json);
  if (!has_model && !has_json) {
    const std::string command = how_to_fetch(path);
    throw Error(Exit::bad_input,
                fmt::format("{}: got neither tokenizer.model nor tokenizer.json, wanted one of them{}", path.string(),
                            command.empty() ? "; set model.tokenizer to a file or folder that is one" : command));
  }
  const std::string name = class_of(path);
  const std::string reason = name.empty() ? "no tokenizer_class" : "tokenizer_class " + printable(name, 60);
  if (has_model && (name.empty() || starts_with_llama(name))) {
    source_ = fmt::format("{} ({})", model.string(), reason);
    had_choice_ = has_json;
    engine_ = open_slow_tokenizer(model, read_tokenizer_settings(path));
  } else if (has_json) {
    source_ = fmt::format("{} ({}{})", json.string(), has_model ? "" : "no tokenizer.model; ", reason);
    engine_ = open_json_tokenizer(json, path);
  } else {
    throw Error(Exit::bad_input,
                fmt::format("{}: got {} and no tokenizer.json, wanted that file, or a class that starts with "
                            "Llama; set model.tokenizer to {} to read that alone, as a Llama's",
                            path.string(), reason, model.string()));
  }
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<std::int64_t> Tokenizer::encode(std::string_view text, bool special_tokens) const {
  return encode_with_ends(text, special_tokens).ids;
}

EncodedText Tokenizer::encode_with_ends(std::string_view text, bool special_tokens) const {
  if (const std::size_t offset = utf8_error(text); offset != kValidUtf8) {
    throw Error(Exit::bad_input, fmt::format("text: byte {}: not UTF-8, wanted UTF-8 text", offset));
  }
  return engine_->encode(text, special_tokens);
}

std::string Tokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const {
  return engine_->decode(ids, skip_special_tokens);
}

std::int64_t Tokenizer::token_id(std::string_view token) const { return engine_->token_id(token); }
std::int64_t Tokenizer::special_token_id(std::string_view token) const { return engine_->special_token_id(token); }
std::int64_t Tokenizer::size() const { return engine_->size(); }
std::int64_t Tokenizer::bos_id() const { return engine_->bos_id(); }
std::int64_t Tokenizer::eos_id() const { return engine_->eos_id(); }
bool Tokenizer::adds_bos() const { return engine_->adds_bos(); }
std::string Tokenizer::hash() const { return engine_->hash(); }

}  // namespace templora
