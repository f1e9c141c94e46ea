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

class SlowTokenizer final : public TokenizerEngine {
 public:
  SlowTokenizer(const std::filesystem::path& file, TokenizerSettings settings);

  EncodedText encode(std::string_view text, bool special_tokens) const override;
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const override;
  std::int64_t token_id(std::string_view token) const override;
  std::int64_t special_token_id(std::string_view token) const override;
  std::int64_t size() const override;
  std::int64_t bos_id() const override { return settings_.bos ? id_of(*settings_.bos) : -1; }
  std::int64_t eos_id() const override { return settings_.eos ? id_of(*settings_.eos) : -1; }
  bool adds_bos() const override { return settings_.add_bos; }
  std::string hash() const override;

 private:
  void number_tokens();
  std::int64_t id_of(const std::string& token) const;
  std::string token_of(std::int64_t id) const;
  void cut_segment(std::string_view text, std::vector<Piece>& out) const;
  std::vector<Piece> tokens(std::string_view text) const;
  std::string join(std::vector<std::string> tokens) const;

  TokenizerSettings settings_;
  std::string where_;
  std::string model_bytes_hash_;
  std::unique_ptr<PieceModel> model_;

  std::map<std::int64_t, AddedToken> added_;                 // final: files and special tokens
  std::unordered_map<std::string, std::int64_t> added_ids_;  // by content
  std::unordered_map<std::string, AddedToken> rules_;        // by content
  AddedTokenTrie trie_;
  std::unordered_set<std::string> special_;  // contents
  std::unordered_set<std::int64_t> special_ids_;
  std::unordered_set<std::string> apart_;  // decoded on their own, between spaces
  std::size_t unknown_pieces_ = 0;         // into how many pieces the unknown token's own text falls
};

// Added tokens that are pieces keep the piece's id; new ones are numbered from the count of known tokens on.
void SlowTokenizer::number_tokens() {
  added_ = settings_.added;
  std::unordered_map<std::string, std::int64_t> vocabulary;
  for (std::int64_t id = 0; id < model_->size(); ++id) {
    const auto renamed = added_.find(id);
    vocabulary[renamed == added_.end() ? model_->piece(id) : renamed->second.content] = id;
  }
  for (const auto& [id, token] : added_) {
    vocabulary[token.content] = id;
    added_ids_[token.content] = id;
  }
  auto next = static_cast<std::int64_t>(vocabulary.size());
  for (const SpecialToken& entry : settings_.special) {
    const std::string& content = entry.token.content;
    if (content.empty()) continue;
    special_.insert(content);
    if (entry.plain && added_ids_.count(content) != 0) continue;
    const auto [found, fresh] = vocabulary.emplace(content, next);
    if (fresh) ++next;
    const std::int64_t id = found->second;
    const auto holder = added_.find(id);
    if (holder != added_.end() && holder->second.content != content) {
      throw Error(Exit::bad_input, fmt::format("{}: special token \"{}\": its id {} is taken by \"{}\"; list both in "
                                               "added_tokens_decoder with ids of their own",
                                               where_, content, id, holder->second.content));
    }
    added_[id] = entry.token;
    added_ids_[content] = id;
  }
  for (const auto& [id, token] : added_) {
    rules_[token.content] = token;
    trie_.add(token.content);
  }
  for (const std::string& content : special_) special_ids_.insert(id_of(content));
  for (const auto& [content, id] : added_ids_) {
    if (special_.count(content) == 0) apart_.insert(content);
  }
  for (const std::string& content : settings_.additional) {
    if (id_of(content) >= model_->size()) apart_.insert(content);
  }
}

std::int64_t SlowTokenizer::id_of(const std::string& token) const {
  const auto found = added_ids_.find(token);
  return found == added_ids_.end() ? model_->id(token) : found->second;
}

std::string SlowTokenizer::token_of(std::int64_t id) const {
  const auto found = added_.find(id);
  if (found != added_.end()) return found->second.content;
  if (id < 0 || id >= model_->size()) {
    throw Error(Exit::bad_input, fmt::format("{}: token id {}: stands for nothing, wanted one of the {} pieces or an "
                                             "added token; does the tokenizer belong to the model?",
                                             where_, id, model_->size()));
  }
  return model_->piece(id);
}

// Without a dummy prefix sentencepiece would drop a leading space where it trims white space, so such text is
// encoded behind the unknown token, whose pieces are then taken off again.
void SlowTokenizer::cut_segment(std::string_view text, std::vector<Piece>& out) const {
  if (settings_.legacy || !(starts_with(text, kUnderline) || starts_with(text, " "))) {
    out = model_->encode(text);
    return;
  }
  const std::string& unknown = *settings_.unk;
  out = model_->encode(unknown + std::string(text));
  if (out.size() >= unknown_pieces_) out.erase(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(unknown_pieces_));
  for (Piece& piece : out) piece.end -= std::min(piece.end, unknown.size());
}

std::vector<Piece> SlowTokenizer::tokens(std::string_view text) const {
  std::vector<Segment> segments;
  if (settings_.split_special_tokens) {
    segments.push_back({std::string(text), 0});
  } else {
    segments = trie_.split(text);
    apply_token_rules(segments, rules_);
  }
  std::vector<Piece> all;
  std::vector<Piece> cut;
  for (const Segment& segment : segments) {
    if (segment.text.empty()) continue;
    if (!settings_.split_special_tokens && rules_.count(segment.text) != 0) {
      all.push_back({segment.text, segment.begin + segment.text.size()});
      continue;
    }
    cut_segment(segment.text, cut);
    for (Piece& piece : cut) all.push_back({std::move(piece.text), segment.begin + piece.end});
  }
  return all;
}

std::string SlowTokenizer::join(std::vector<std::string> tokens) const {
  if (settings_.add_prefix_space && starts_with(tokens[0], kUnderline)) tokens[0].erase(0, kUnderline.size());
  std::vector<std::string> pieces;
  std::string out;
  bool after_special = false;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    if (special_.count(tokens[i]) != 0) {
      if (!after_special && i != 0 && settings_.legacy) out += " ";
      out += model_->decode(pieces) + tokens[i];
      after_special = true;
      pieces.clear();
    } else {
      if (after_special && i == 1 && settings_.add_prefix_space && !starts_with(tokens[i], kUnderline)) out += " ";
      pieces.push_back(tokens[i]);
      after_special = false;
    }
  }
  return out + model_->decode(pieces);
}

SlowTokenizer::SlowTokenizer(const std::filesystem::path& file, TokenizerSettings settings)
    : settings_(std::move(settings)), where_(file.string()) {
  const std::string bytes = read_file(file);
  model_ = std::make_unique<PieceModel>(bytes, where_, !settings_.legacy);
  model_bytes_hash_ = hash_hex(bytes);
  number_tokens();
  if (settings_.unk) unknown_pieces_ = model_->encode(*settings_.unk).size();
}

EncodedText SlowTokenizer::encode(std::string_view text, bool special_tokens) const {
  EncodedText out;
  if (special_tokens && settings_.add_bos) {
    out.ids.push_back(bos_id());
    out.ends.push_back(0);
  }
  const auto append = [&](const std::vector<Piece>& pieces, std::size_t first, const auto& original) {
    out.ids.reserve(out.ids.size() + pieces.size() + 1);
    out.ends.reserve(out.ids.size() + pieces.size() + 1);
    for (std::size_t i = first; i < pieces.size(); ++i) {
      const std::size_t end = std::min(original(pieces[i].end), text.size());
      out.ids.push_back(id_of(pieces[i].text));
      out.ends.push_back(out.ends.empty() ? end : std::max(out.ends.back(), end));
    }
  };
  if (settings_.legacy || text.empty()) {
    append(tokens(text), 0, [](std::size_t offset) { return offset; });
  } else {
    const Respaced respaced(text, settings_.add_prefix_space);
    const std::vector<Piece> pieces = tokens(respaced.text);
    const bool lone_space =
        pieces.size() > 1 && pieces[0].text == kUnderline && special_.count(pieces[1].text) != 0;
    append(pieces, lone_space ? 1 : 0, [&](std::size_t offset) { return respaced.original_offset(offset); });
  }
  if (special_tokens && settings_.add_eos) {
    out.ids.push_back(eos_id());
    out.ends.push_back(text.size());
  }
  return out;
}

std::string SlowTokenizer::decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const {
  std::vector<std::string> parts;
  std::vector<std::string> current;
  for (const std::int64_t id : ids) {
    if (skip_special_tokens && special_ids_.count(id) != 0) continue;
    std::string token = token_of(id);
    if (skip_special_tokens && special_.count(token) != 0) continue;
    if (apart_.count(token) == 0) {
      current.push_back(std::move(token));
      continue;
    }
    if (!current.empty()) {
      std::string joined = join(std::exchange(current, {}));
      if (!joined.empty()) parts.push_back(std::move(joined));
    }
    parts.push_back(std::move(token));
  }
  if (!current.empty()) parts.push_back(join(std::move(current)));

  // The slow tokenizer puts a space here whatever spaces_between_special_tokens says.
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) text.append(i == 0 ? "" : " ").append(parts[i]);
  if (settings_.clean_up_spaces) {
    constexpr std::pair<const char*, const char*> kTidied[] = {
        {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
        {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : kTidied) replace_all(text, from, to);
  }
  return text;
}

std::int64_t SlowTokenizer::token_id(std::string_view token) const {
  const auto added = added_ids_.find(std::string(token));
  if (added != added_ids_.end()) return added->second;
  const std::int64_t id = model_->id(token);
  return model_->piece(id) == token && added_.count(id) == 0 ? id : -1;
}

std::int64_t SlowTokenizer::special_token_id(std::string_view token) const {
  const std::int64_t id = token_id(token);
  const bool mark = id >= 0 && (added_.count(id) != 0 || (id < model_->size() && model_->is_control(id)));
  return mark ? id : -1;
}

std::int64_t SlowTokenizer::size() const {
  const std::int64_t pieces = model_->size();
  return added_.empty() ? pieces : std::max(pieces, added_.rbegin()->first + 1);
}

std::string SlowTokenizer::hash() const {
  const TokenizerSettings& s = settings_;
  std::string settings =
      fmt::format("legacy={} prefix={} bos={}:{} eos={}:{} split={} unk={}", s.legacy, s.add_prefix_space, s.add_bos,
                  bos_id(), s.add_eos, eos_id(), s.split_special_tokens, s.unk ? *s.unk : "");
  for (const auto& [id, token] : added_) {
    settings += fmt::format("\n{} {}{}{} {} {}", id, int{token.single_word}, int{token.lstrip}, int{token.rstrip},
                            token.content.size(), token.content);
  }
  return hash_hex(model_bytes_hash_ + "\n" + settings);
}

}  // namespace

std::unique_ptr<TokenizerEngine> open_slow_tokenizer(const std::filesystem::path& file, TokenizerSettings settings) {
  return std::make_unique<SlowTokenizer>(file, std::move(settings));
}

}  // namespace templora
