#include "text/json_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "text/json_tokenizer_config.h"
#include "text/json_tokenizer_file.h"

namespace templora {
namespace {

constexpr std::size_t kLargestFileBytes = std::size_t{256} << 20;
constexpr std::size_t kLargestTextBytes = std::size_t{1} << 30;

}  // namespace

struct JsonTokenizer::Impl {
  std::string where;
  JsonTokenizerFile file;
  JsonTokenizerConfig config;
  std::unordered_map<std::string, std::int32_t> ids;     // of pieces as the file writes them
  std::unordered_map<std::int32_t, std::string> pieces;  // by id
  std::optional<BpeModel> model;
  AddedVocabulary added;
  std::string hash;

  void build_model();
  void add_tokens();
  void append(AlignedText&& text, WordCache& cache, EncodedText& out) const;
  std::int64_t id_of(const std::string& token) const;
};

void JsonTokenizer::Impl::build_model() {
  for (const auto& [piece, id] : file.vocabulary) {
    ids.emplace(piece, id);
    pieces.emplace(id, piece);
  }
  if (!file.model.byte_level) {
    model.emplace(ids, file.merges, file.model, where);
    return;
  }
  // Pieces that spell no bytes stand for no text, but a merge may name them.
  std::unordered_map<std::string, std::int32_t> bytes_of;
  std::string bytes;
  for (const auto& [piece, id] : file.vocabulary) {
    if (byte_level_bytes(piece, bytes)) bytes_of.emplace(bytes, id);
  }
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(file.merges.size());
  std::string left, right;
  for (const auto& [first, second] : file.merges) {
    const bool spelled = byte_level_bytes(first, left) && byte_level_bytes(second, right);
    if (!spelled && ids.count(first) != 0 && ids.count(second) != 0) {
      left = right = "";  // keeps the ranks of the others; bytes never make it
    } else if (!spelled) {
      left = first;
      right = second;
    }
    merges.emplace_back(left, right);
  }
  BpeSettings settings = file.model;
  if (settings.unknown && byte_level_bytes(*settings.unknown, bytes)) settings.unknown = bytes;
  model.emplace(std::move(bytes_of), merges, settings, where);
}

void JsonTokenizer::Impl::add_tokens() {
  const auto model_id = [&](const std::string& piece) {
    const auto found = ids.find(piece);
    return found == ids.end() ? -1 : found->second;
  };
  const auto size = static_cast<std::int64_t>(ids.size());
  added.add(file.added, model_id, size);
  for (std::size_t i = 0; i < file.added.size(); ++i) {
    const std::string& content = file.added[i].rules.content;
    const std::int32_t own = added.id(content);
    const auto holder = pieces.find(own);
    const bool taken = holder != pieces.end() && holder->second != content;
    if (own == file.added_ids[i] && !taken) continue;
    throw Error(
        Exit::bad_input,
        fmt::format("{}: added_tokens: \"{}\": got the id {}, but as the tokenizer numbers its "
                    "tokens it is {}{}, wanted one id; list a piece for each id",
                    where, printable(content, 60), file.added_ids[i], own, taken ? " (which is another piece's)" : ""));
  }
  added.add(config.added, model_id, size);
  added.finish(file.normalizer, where);
}

std::int64_t JsonTokenizer::Impl::id_of(const std::string& token) const {
  if (const std::int32_t id = added.id(token); id >= 0) return id;
  const auto found = ids.find(token);
  return found == ids.end() ? -1 : found->second;
}

void JsonTokenizer::Impl::append(AlignedText&& text, WordCache& cache, EncodedText& out) const {
  TextPieces pieces_of_text{std::move(text), {}};
  const std::size_t size = pieces_of_text.aligned.text().size();
  if (size == 0) return;
  pieces_of_text.spans.push_back({0, size, false});
  pre_tokenize(pieces_of_text, file.pre_tokenizer);
  BpeTokens tokens;
  for (const Span& span : pieces_of_text.spans) {
    tokens.ids.clear();
    tokens.bytes.clear();
    cache.encode(*model, pieces_of_text.piece(span), tokens);
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
    : impl_(std::make_unique<Impl>()) {
  Impl& self = *impl_;
  self.where = path.string();
  if (const auto bytes = std::filesystem::file_size(path); bytes > kLargestFileBytes) {
    throw Error(Exit::bad_input,
                fmt::format("{}: got {} bytes, wanted at most {}", self.where, bytes, kLargestFileBytes));
  }
  self.file = read_json_tokenizer(parse_foreign_json(read_file(path), self.where), self.where);
  if (!folder.empty()) self.config = read_json_tokenizer_config(folder, self.file.added);
  self.build_model();
  self.add_tokens();
  for (const std::vector<std::int64_t>* list : {&self.file.before, &self.file.after}) {
    for (const std::int64_t id : *list) {
      const auto small = static_cast<std::int32_t>(id);
      if (self.pieces.count(small) != 0 || self.added.by_id().count(small) != 0) continue;
      throw Error(
          Exit::bad_input,
          fmt::format("{}: post_processor: got the id {}, which no token has, wanted a token's", self.where, id));
    }
  }

  Hasher hasher;
  const auto put = [&](const std::string& text) { hasher.update(fmt::format("{}:{}\n", text.size(), text)); };
  const BpeSettings& s = self.file.model;
  put(fmt::format("bytes={} fallback={} fuse={} ignore={} split={} unknown={}", s.byte_level, s.byte_fallback,
                  s.fuse_unknown, s.ignore_merges, self.config.split_special_tokens, s.unknown.value_or("")));
  put(self.file.meaning);
  put(fmt::format("{} | {}", fmt::join(self.file.before, " "), fmt::join(self.file.after, " ")));
  for (const auto& [piece, id] : self.file.vocabulary) put(fmt::format("{} {}", id, piece));
  for (const auto& [left, right] : self.file.merges) put(fmt::format("{} {} {}", left.size(), left, right));
  for (const auto& [id, token] : self.added.by_id()) {
    put(fmt::format("{} {}{}{}{}{} {}", id, int{token.rules.single_word}, int{token.rules.lstrip},
                    int{token.rules.rstrip}, int{token.normalized}, int{token.special}, token.rules.content));
  }
  self.hash = hasher.hex();
  self.file.merges = {};
  self.file.vocabulary = {};
}

JsonTokenizer::~JsonTokenizer() = default;

EncodedText JsonTokenizer::encode(std::string_view text, bool special_tokens) const {
  const Impl& self = *impl_;
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
    for (const std::int64_t id : self.file.before) put(id, 0);
  }
  WordCache cache;
  self.added.cut(text, self.config.split_special_tokens,
                 {[&](AlignedText&& part) { self.append(std::move(part), cache, out); },
                  [&](std::int32_t id, std::size_t end) { put(id, end); }});
  if (special_tokens) {
    for (const std::int64_t id : self.file.after) put(id, text.size());
  }
  return out;
}

std::string JsonTokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const {
  const Impl& self = *impl_;
  std::vector<std::string> tokens;
  for (const std::int64_t id : ids) {
    const auto small = static_cast<std::int32_t>(id);
    const auto piece = self.pieces.find(small);
    const std::string* token = id == small ? self.added.spelling(small) : nullptr;
    if (token == nullptr && id == small && piece != self.pieces.end()) token = &piece->second;
    if (token == nullptr) {
      throw Error(Exit::bad_input,
                  fmt::format("{}: token id {}: stands for nothing, wanted a piece's or an added token's; "
                              "does the tokenizer belong to the model?",
                              self.where, id));
    }
    if (!(skip_special_tokens && self.added.is_special(*token))) tokens.push_back(*token);
  }
  return decode_tokens(std::move(tokens), self.file.decoder);
}

std::int64_t JsonTokenizer::token_id(std::string_view token) const { return impl_->id_of(std::string(token)); }

std::int64_t JsonTokenizer::mark_id(std::string_view token) const { return impl_->added.id(std::string(token)); }

std::int64_t JsonTokenizer::size() const {
  std::int64_t most = impl_->added.by_id().empty() ? -1 : impl_->added.by_id().rbegin()->first;
  for (const auto& [id, piece] : impl_->pieces) most = std::max<std::int64_t>(most, id);
  return most + 1;
}

std::int64_t JsonTokenizer::bos_id() const {
  if (adds_bos()) return impl_->file.before[0];
  return impl_->config.bos ? impl_->id_of(*impl_->config.bos) : -1;
}

std::int64_t JsonTokenizer::eos_id() const { return impl_->config.eos ? impl_->id_of(*impl_->config.eos) : -1; }

bool JsonTokenizer::adds_bos() const { return !impl_->file.before.empty(); }

std::string JsonTokenizer::hash() const { return impl_->hash; }

}  // namespace templora
