#include "text/json_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "core/log.h"
#include "text/json_tokenizer_config.h"
#include "text/json_tokenizer_file.h"

namespace templora {
namespace {

constexpr std::size_t kLargestFileBytes = std::size_t{256} << 20;

class JsonTokenizer final : public TokenizerEngine {
 public:
  JsonTokenizer(const std::filesystem::path& path, const std::filesystem::path& folder);

  EncodedText encode(std::string_view text, bool special_tokens) const override;
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const override;
  std::int64_t token_id(std::string_view token) const override { return id_of(std::string(token)); }
  std::int64_t special_token_id(std::string_view token) const override { return added_.id(std::string(token)); }
  std::int64_t size() const override;
  std::int64_t bos_id() const override;
  std::int64_t eos_id() const override { return config_.eos ? id_of(*config_.eos) : -1; }
  bool adds_bos() const override { return !file_.before.empty(); }
  std::string hash() const override { return hash_; }

 private:
  void build_model();
  void add_tokens();
  void append(AlignedText&& text, WordCache& cache, EncodedText& out) const;
  std::int64_t id_of(const std::string& token) const;

  std::string where_;
  JsonTokenizerFile file_;
  JsonTokenizerConfig config_;
  std::unordered_map<std::string, std::int32_t> ids_;     // of pieces as the file writes them
  std::unordered_map<std::int32_t, std::string> pieces_;  // by id
  std::optional<BpeModel> model_;
  AddedVocabulary added_;
  std::string hash_;
};

void JsonTokenizer::build_model() {
  for (const auto& [piece, id] : file_.vocabulary) {
    ids_.emplace(piece, id);
    pieces_.emplace(id, piece);
  }
  if (!file_.model.byte_level) {
    model_.emplace(ids_, file_.merges, file_.model, where_);
    return;
  }
  // Pieces that spell no bytes stand for no text, but a merge may name them.
  std::unordered_map<std::string, std::int32_t> bytes_of;
  std::string bytes;
  for (const auto& [piece, id] : file_.vocabulary) {
    if (byte_level_bytes(piece, bytes)) bytes_of.emplace(bytes, id);
  }
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(file_.merges.size());
  std::string left, right;
  for (const auto& [first, second] : file_.merges) {
    const bool spelled = byte_level_bytes(first, left) && byte_level_bytes(second, right);
    if (!spelled && ids_.count(first) != 0 && ids_.count(second) != 0) {
      left = right = "";  // keeps the ranks of the others; bytes never make it
    } else if (!spelled) {
      left = first;
      right = second;
    }
    merges.emplace_back(left, right);
  }
  BpeSettings settings = file_.model;
  if (settings.unknown && byte_level_bytes(*settings.unknown, bytes)) settings.unknown = bytes;
  model_.emplace(std::move(bytes_of), merges, settings, where_);
}

void JsonTokenizer::add_tokens() {
  const auto model_id = [&](const std::string& piece) {
    const auto found = ids_.find(piece);
    return found == ids_.end() ? -1 : found->second;
  };
  const auto size = static_cast<std::int64_t>(ids_.size());
  added_.add(file_.added, model_id, size);
  for (std::size_t i = 0; i < file_.added.size(); ++i) {
    const std::string& content = file_.added[i].rules.content;
    const std::int32_t own = added_.id(content);
    const auto holder = pieces_.find(own);
    const bool taken = holder != pieces_.end() && holder->second != content;
    if (own == file_.added_ids[i] && !taken) continue;
    throw Error(Exit::bad_input,
                fmt::format("{}: added_tokens: \"{}\": got the id {}, but as the tokenizer numbers its "
                            "tokens it is {}{}, wanted one id; list a piece for each id",
                            where_, printable(content, 60), file_.added_ids[i], own,
                            taken ? " (which is another piece's)" : ""));
  }
  added_.add(config_.added, model_id, size);
  added_.finish(file_.normalizer, where_);
}

std::int64_t JsonTokenizer::id_of(const std::string& token) const {
  if (const std::int32_t id = added_.id(token); id >= 0) return id;
  const auto found = ids_.find(token);
  return found == ids_.end() ? -1 : found->second;
}

void JsonTokenizer::append(AlignedText&& text, WordCache& cache, EncodedText& out) const {
  TextPieces pieces_of_text{std::move(text), {}};
  const std::size_t size = pieces_of_text.aligned.text().size();
  if (size == 0) return;
  pieces_of_text.spans.push_back({0, size, false});
  pre_tokenize(pieces_of_text, file_.pre_tokenizer);
  BpeTokens tokens;
  for (const Span& span : pieces_of_text.spans) {
    tokens.ids.clear();
    tokens.bytes.clear();
    cache.encode(*model_, pieces_of_text.piece(span), tokens);
    std::size_t end = span.begin;
    for (std::size_t i = 0; i < tokens.ids.size(); ++i) {
      end += tokens.bytes[i];
      out.ids.push_back(tokens.ids[i]);
      const std::size_t original = pieces_of_text.aligned.end_of(end);
      out.ends.push_back(out.ends.empty() ? original : std::max(out.ends.back(), original));
    }
  }
}

JsonTokenizer::JsonTokenizer(const std::filesystem::path& path, const std::filesystem::path& folder)
    : where_(path.string()) {
  if (const auto bytes = std::filesystem::file_size(path); bytes > kLargestFileBytes) {
    throw Error(Exit::bad_input,
                fmt::format("{}: got {} bytes, wanted at most {}", where_, bytes, kLargestFileBytes));
  }
  file_ = read_json_tokenizer(parse_foreign_json(read_file(path), where_), where_);
  if (!folder.empty()) config_ = read_json_tokenizer_config(folder, file_.added);
  build_model();
  add_tokens();
  for (const std::vector<std::int64_t>* list : {&file_.before, &file_.after}) {
    for (const std::int64_t id : *list) {
      const auto small = static_cast<std::int32_t>(id);
      if (pieces_.count(small) != 0 || added_.by_id().count(small) != 0) continue;
      throw Error(
          Exit::bad_input,
          fmt::format("{}: post_processor: got the id {}, which no token has, wanted a token's", where_, id));
    }
  }

  for (const auto& [key, asked, list] : {std::tuple{"add_bos_token", config_.add_bos, &file_.before},
                                         {"add_eos_token", config_.add_eos, &file_.after}})
    if (asked && *asked == list->empty())
      log_line(fmt::format("{}: {} is {}, but tokenizer.json's post_processor adds {}; that counts, as in "
                           "transformers 5", (folder / "tokenizer_config.json").string(), key, *asked,
                           list->empty() ? "none" : "one"));

  Hasher hasher;
  const auto put = [&](const std::string& text) { hasher.update(fmt::format("{}:{}\n", text.size(), text)); };
  const BpeSettings& s = file_.model;
  put(fmt::format("bytes={} fallback={} fuse={} ignore={} split={} unknown={}", s.byte_level, s.byte_fallback,
                  s.fuse_unknown, s.ignore_merges, config_.split_special_tokens, s.unknown.value_or("")));
  put(file_.meaning);
  put(fmt::format("{} | {}", fmt::join(file_.before, " "), fmt::join(file_.after, " ")));
  for (const auto& [piece, id] : file_.vocabulary) put(fmt::format("{} {}", id, piece));
  for (const auto& [left, right] : file_.merges) put(fmt::format("{} {} {}", left.size(), left, right));
  for (const auto& [id, token] : added_.by_id()) {
    put(fmt::format("{} {}{}{}{}{} {}", id, int{token.rules.single_word}, int{token.rules.lstrip},
                    int{token.rules.rstrip}, int{token.normalized}, int{token.special}, token.rules.content));
  }
  hash_ = hasher.hex();
  file_.merges = {};
  file_.vocabulary = {};
}

EncodedText JsonTokenizer::encode(std::string_view text, bool special_tokens) const {
  if (text.size() > kLargestTextBytes) {
    throw Error(Exit::bad_input, fmt::format("text: got {} bytes to tokenise at once, wanted at most {}; cut it",
                                             text.size(), kLargestTextBytes));
  }
  EncodedText out;
  out.ids.reserve(text.size() / 4 + 2);
  out.ends.reserve(text.size() / 4 + 2);
  const auto put = [&](std::int64_t id, std::size_t end) {
    out.ids.push_back(id);
    out.ends.push_back(out.ends.empty() ? end : std::max(out.ends.back(), end));
  };
  if (special_tokens) {
    for (const std::int64_t id : file_.before) put(id, 0);
  }
  WordCache cache;
  added_.cut(text, config_.split_special_tokens,
                 {[&](AlignedText&& part) { append(std::move(part), cache, out); },
                  [&](std::int32_t id, std::size_t end) { put(id, end); }});
  if (special_tokens) {
    for (const std::int64_t id : file_.after) put(id, text.size());
  }
  return out;
}

std::string JsonTokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> tokens;
  for (const std::int64_t id : ids) {
    const auto small = static_cast<std::int32_t>(id);
    const auto piece = pieces_.find(small);
    const std::string* token = id == small ? added_.spelling(small) : nullptr;
    if (token == nullptr && id == small && piece != pieces_.end()) token = &piece->second;
    if (token == nullptr) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: token id {}: stands for nothing, wanted a piece's or an added token's; "
                              "does the tokenizer belong to the model?",
                              where_, id));
    }
    if (!(skip_special_tokens && added_.is_special(*token))) tokens.push_back(*token);
  }
  return decode_tokens(std::move(tokens), file_.decoder);
}

std::int64_t JsonTokenizer::size() const {
  std::int64_t most = added_.by_id().empty() ? -1 : added_.by_id().rbegin()->first;
  for (const auto& [id, piece] : pieces_) most = std::max<std::int64_t>(most, id);
  return most + 1;
}

std::int64_t JsonTokenizer::bos_id() const {
  if (adds_bos()) return file_.before[0];
  return config_.bos ? id_of(*config_.bos) : -1;
}

}  // namespace

std::unique_ptr<TokenizerEngine> open_json_tokenizer(const std::filesystem::path& file,
                                                     const std::filesystem::path& folder) {
  return std::make_unique<JsonTokenizer>(file, folder);
}

}  // namespace templora
