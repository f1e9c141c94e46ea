#include "text/slow_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/hash.h"
#include "text/added_tokens.h"
#include "text/piece_model.h"

namespace templora {

namespace {

constexpr std::string_view kUnderline = "\u2581";  // how sentencepiece writes a space

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size());
  std::size_t done = 0;
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, done)) {
    out.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  text = out.append(text, done, std::string::npos);
}

/// Text with every U+2581 made a space and, on request, one put in front, which finds its way back.
struct Respaced {
  std::string text;
  std::size_t prefix_bytes = 0;
  std::vector<std::size_t> replaced;  // offsets in `text` right behind each space that was U+2581

  Respaced(std::string_view original, bool prefix) {
    if (prefix) text = kUnderline;
    prefix_bytes = text.size();
    std::size_t done = 0;
    for (std::size_t at = original.find(kUnderline); at != std::string_view::npos;
         at = original.find(kUnderline, done)) {
      text.append(original.substr(done, at - done)).append(" ");
      replaced.push_back(text.size());
      done = at + kUnderline.size();
    }
    text.append(original.substr(done));
  }

  std::size_t original_offset(std::size_t offset) const {
    if (offset <= prefix_bytes) return 0;
    const auto before = std::upper_bound(replaced.begin(), replaced.end(), offset) - replaced.begin();
    return offset - prefix_bytes + static_cast<std::size_t>(before) * (kUnderline.size() - 1);
  }
};

}  // namespace

struct SlowTokenizer::Impl {
  TokenizerSettings settings;
  std::string where;
  std::string model_bytes_hash;
  std::unique_ptr<PieceModel> model;

  std::map<std::int64_t, AddedToken> added;                 // final: files and special tokens
  std::unordered_map<std::string, std::int64_t> added_ids;  // by content
  std::unordered_map<std::string, AddedToken> rules;        // by content
  AddedTokenTrie trie;
  std::unordered_set<std::string> special;  // contents
  std::unordered_set<std::int64_t> special_ids;
  std::unordered_set<std::string> apart;  // decoded on their own, between spaces
  std::size_t unknown_pieces = 0;         // into how many pieces the unknown token's own text falls

  void number_tokens();
  std::int64_t id_of(const std::string& token) const;
  std::string token_of(std::int64_t id) const;
  void cut_segment(std::string_view text, std::vector<Piece>& out) const;
  std::vector<Piece> tokens(std::string_view text) const;
  std::string join(std::vector<std::string> tokens) const;
};

// Added tokens that are pieces keep the piece's id; new ones are numbered from the count of known tokens on.
void SlowTokenizer::Impl::number_tokens() {
  added = settings.added;
  std::unordered_map<std::string, std::int64_t> vocabulary;
  for (std::int64_t id = 0; id < model->size(); ++id) {
    const auto renamed = added.find(id);
    vocabulary[renamed == added.end() ? model->piece(id) : renamed->second.content] = id;
  }
  for (const auto& [id, token] : added) {
    vocabulary[token.content] = id;
    added_ids[token.content] = id;
  }
  auto next = static_cast<std::int64_t>(vocabulary.size());
  for (const SpecialToken& entry : settings.special) {
    const std::string& content = entry.token.content;
    if (content.empty()) continue;
    special.insert(content);
    if (entry.plain && added_ids.count(content) != 0) continue;
    const auto [found, fresh] = vocabulary.emplace(content, next);
    if (fresh) ++next;
    const std::int64_t id = found->second;
    const auto holder = added.find(id);
    if (holder != added.end() && holder->second.content != content) {
      throw Error(Exit::bad_input, fmt::format("{}: special token \"{}\": its id {} is taken by \"{}\"; list both in "
                                               "added_tokens_decoder with ids of their own",
                                               where, content, id, holder->second.content));
    }
    added[id] = entry.token;
    added_ids[content] = id;
  }
  for (const auto& [id, token] : added) {
    rules[token.content] = token;
    trie.add(token.content);
  }
  for (const std::string& content : special) special_ids.insert(id_of(content));
  for (const auto& [content, id] : added_ids) {
    if (special.count(content) == 0) apart.insert(content);
  }
  for (const std::string& content : settings.additional) {
    if (id_of(content) >= model->size()) apart.insert(content);
  }
}

std::int64_t SlowTokenizer::Impl::id_of(const std::string& token) const {
  const auto found = added_ids.find(token);
  return found == added_ids.end() ? model->id(token) : found->second;
}

std::string SlowTokenizer::Impl::token_of(std::int64_t id) const {
  const auto found = added.find(id);
  if (found != added.end()) return found->second.content;
  if (id < 0 || id >= model->size()) {
    throw Error(Exit::bad_input, fmt::format("{}: token id {}: stands for nothing, wanted one of the {} pieces or an "
                                             "added token; does the tokenizer belong to the model?",
                                             where, id, model->size()));
  }
  return model->piece(id);
}

// Without a dummy prefix sentencepiece would drop a leading space where it trims white space, so such text is
// encoded behind the unknown token, whose pieces are then taken off again.
void SlowTokenizer::Impl::cut_segment(std::string_view text, std::vector<Piece>& out) const {
  if (settings.legacy || !(starts_with(text, kUnderline) || starts_with(text, " "))) {
    out = model->encode(text);
    return;
  }
  const std::string& unknown = *settings.unk;
  out = model->encode(unknown + std::string(text));
  if (out.size() >= unknown_pieces) out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(unknown_pieces));
  for (Piece& piece : out) piece.end -= std::min(piece.end, unknown.size());
}

std::vector<Piece> SlowTokenizer::Impl::tokens(std::string_view text) const {
  std::vector<Segment> segments;
  if (settings.split_special_tokens) {
    segments.push_back({std::string(text), 0});
  } else {
    segments = trie.split(text);
    apply_token_rules(segments, rules);
  }
  std::vector<Piece> all;
  std::vector<Piece> cut;
  for (const Segment& segment : segments) {
    if (segment.text.empty()) continue;
    if (!settings.split_special_tokens && rules.count(segment.text) != 0) {
      all.push_back({segment.text, segment.begin + segment.text.size()});
      continue;
    }
    cut_segment(segment.text, cut);
    for (Piece& piece : cut) all.push_back({std::move(piece.text), segment.begin + piece.end});
  }
  return all;
}

std::string SlowTokenizer::Impl::join(std::vector<std::string> tokens) const {
  if (settings.add_prefix_space && starts_with(tokens[0], kUnderline)) tokens[0].erase(0, kUnderline.size());
  std::vector<std::string> pieces;
  std::string out;
  bool after_special = false;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (special.count(tokens[i]) != 0) {
      if (!after_special && i != 0 && settings.legacy) out += " ";
      out += model->decode(pieces) + tokens[i];
      after_special = true;
      pieces.clear();
    } else {
      if (after_special && i == 1 && settings.add_prefix_space && !starts_with(tokens[i], kUnderline)) out += " ";
      pieces.push_back(tokens[i]);
      after_special = false;
    }
  }
  return out + model->decode(pieces);
}

SlowTokenizer::SlowTokenizer(const std::filesystem::path& file, TokenizerSettings settings)
    : impl_(std::make_unique<Impl>()) {
  Impl& self = *impl_;
  self.settings = std::move(settings);
  self.where = file.string();
  const std::string bytes = read_file(file);
  self.model = std::make_unique<PieceModel>(bytes, self.where, !self.settings.legacy);
  self.model_bytes_hash = hash_hex(bytes);
  self.number_tokens();
  if (self.settings.unk) self.unknown_pieces = self.model->encode(*self.settings.unk).size();
}

SlowTokenizer::~SlowTokenizer() = default;

EncodedText SlowTokenizer::encode(std::string_view text, bool special_tokens) const {
  const Impl& self = *impl_;
  EncodedText out;
  if (special_tokens && self.settings.add_bos) {
    out.ids.push_back(bos_id());
    out.ends.push_back(0);
  }
  const auto append = [&](const std::vector<Piece>& pieces, std::size_t first, const auto& original) {
    out.ids.reserve(out.ids.size() + pieces.size() + 1);
    out.ends.reserve(out.ids.size() + pieces.size() + 1);
    for (std::size_t i = first; i < pieces.size(); ++i) {
      const std::size_t end = std::min(original(pieces[i].end), text.size());
      out.ids.push_back(self.id_of(pieces[i].text));
      out.ends.push_back(out.ends.empty() ? end : std::max(out.ends.back(), end));
    }
  };
  if (self.settings.legacy || text.empty()) {
    append(self.tokens(text), 0, [](std::size_t offset) { return offset; });
  } else {
    const Respaced respaced(text, self.settings.add_prefix_space);
    const std::vector<Piece> pieces = self.tokens(respaced.text);
    const bool lone_space =
        pieces.size() > 1 && pieces[0].text == kUnderline && self.special.count(pieces[1].text) != 0;
    append(pieces, lone_space ? 1 : 0, [&](std::size_t offset) { return respaced.original_offset(offset); });
  }
  if (special_tokens && self.settings.add_eos) {
    out.ids.push_back(eos_id());
    out.ends.push_back(text.size());
  }
  return out;
}

std::string SlowTokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const {
  const Impl& self = *impl_;
  std::vector<std::string> parts;
  std::vector<std::string> current;
  for (const std::int64_t id : ids) {
    if (skip_special_tokens && self.special_ids.count(id) != 0) continue;
    std::string token = self.token_of(id);
    if (skip_special_tokens && self.special.count(token) != 0) continue;
    if (self.apart.count(token) == 0) {
      current.push_back(std::move(token));
      continue;
    }
    if (!current.empty()) {
      std::string joined = self.join(std::exchange(current, {}));
      if (!joined.empty()) parts.push_back(std::move(joined));
    }
    parts.push_back(std::move(token));
  }
  if (!current.empty()) parts.push_back(self.join(std::move(current)));

  // The slow tokenizer puts a space here whatever spaces_between_special_tokens says.
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text.append(i == 0 ? "" : " ").append(parts[i]);
  if (self.settings.clean_up_spaces) {
    constexpr std::pair<const char*, const char*> kTidied[] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
        {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kTidied) replace_all(text, from, to);
  }
  return text;
}

std::int64_t SlowTokenizer::token_id(std::string_view token) const {
  const Impl& self = *impl_;
  const auto added = self.added_ids.find(std::string(token));
  if (added != self.added_ids.end()) return added->second;
  const std::int64_t id = self.model->id(token);
  return self.model->piece(id) == token && self.added.count(id) == 0 ? id : -1;
}

std::int64_t SlowTokenizer::mark_id(std::string_view token) const {
  const Impl& self = *impl_;
  const std::int64_t id = token_id(token);
  const bool mark = id >= 0 && (self.added.count(id) != 0 || (id < self.model->size() && self.model->is_control(id)));
  return mark ? id : -1;
}

std::int64_t SlowTokenizer::size() const {
  const std::int64_t pieces = impl_->model->size();
  return impl_->added.empty() ? pieces : std::max(pieces, impl_->added.rbegin()->first + 1);
}

std::int64_t SlowTokenizer::bos_id() const { return impl_->settings.bos ? impl_->id_of(*impl_->settings.bos) : -1; }

std::int64_t SlowTokenizer::eos_id() const { return impl_->settings.eos ? impl_->id_of(*impl_->settings.eos) : -1; }

bool SlowTokenizer::adds_bos() const { return impl_->settings.add_bos; }

std::string SlowTokenizer::hash() const {
  const Impl& self = *impl_;
  const TokenizerSettings& s = self.settings;
  std::string settings =
      fmt::format("legacy={} prefix={} bos={}:{} eos={}:{} split={} unk={}", s.legacy, s.add_prefix_space, s.add_bos,
                  bos_id(), s.add_eos, eos_id(), s.split_special_tokens, s.unk ? *s.unk : "");
  for (const auto& [id, token] : self.added) {
    settings += fmt::format("\n{} {}{}{} {} {}", id, int{token.single_word}, int{token.lstrip}, int{token.rstrip},
                            token.content.size(), token.content);
  }
  return hash_hex(self.model_bytes_hash + "\n" + settings);
}

}  // namespace templora
