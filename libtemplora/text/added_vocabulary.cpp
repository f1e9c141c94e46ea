#include "text/added_vocabulary.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/error.h"
#include "text/code_points.h"
#include "text/tokenizer_tables.h"

namespace templora {
namespace {

constexpr std::size_t kLongestContent = 512;  // bytes: each place in a text is compared with at most so many

const CodePointMap& word_map() {
  static const CodePointMap map{word_characters(WordRule::added_token)};
  return map;
}

const CodePointMap& space_characters() {
  static const CodePointMap map{CodePointSet(kPatternSpace)};
  return map;
}

bool word_at_end(std::string_view text) {
  const char* at = text.data() + text.size();
  return !text.empty() && word_map()[previous_code_point(at)] != 0;
}

bool word_at_start(std::string_view text) {
  const char* at = text.data();
  return !text.empty() && word_map()[next_code_point(at)] != 0;
}

std::size_t spaces_at_end(std::string_view text) {
  const char* const begin = text.data();
  const char* at = begin + text.size();
  while (at > begin) {
    const char* before = at;
    if (space_characters()[previous_code_point(before)] == 0) break;
    at = before;
  }
  return text.size() - std::size_t(at - begin);
}

std::size_t spaces_at_start(std::string_view text) {
  const char* const end = text.data() + text.size();
  const char* at = text.data();
  while (at < end) {
    const char* behind = at;
    if (space_characters()[next_code_point(behind)] == 0) break;
    at = behind;
  }
  return std::size_t(at - text.data());
}

}  // namespace

bool JsonAddedToken::operator==(const JsonAddedToken& other) const {
  return rules.content == other.rules.content && rules.single_word == other.rules.single_word &&
         rules.lstrip == other.rules.lstrip && rules.rstrip == other.rules.rstrip && normalized == other.normalized &&
         special == other.special;
}

void LongestMatcher::add(std::string_view text, std::int32_t value) {
  std::size_t node = 0;
  for (const char byte : text) {
    const auto found = nodes_[node].next.find(byte);
    if (found != nodes_[node].next.end()) {
      node = static_cast<std::size_t>(found->second);
      continue;
    }
    nodes_[node].next.emplace(byte, static_cast<std::int32_t>(nodes_.size()));
    node = nodes_.size();
    nodes_.emplace_back();
  }
  if (nodes_[node].value < 0) nodes_[node].value = value;
}

std::vector<LongestMatcher::Match> LongestMatcher::find(std::string_view text) const {
  std::vector<Match> out;
  if (nodes_[0].next.empty()) return out;
  std::array<bool, 256> starts{};
  for (const auto& [byte, node] : nodes_[0].next) starts[static_cast<unsigned char>(byte)] = true;
  for (std::size_t at = 0; at < text.size();) {
    if (!starts[static_cast<unsigned char>(text[at])]) {
      ++at;
      continue;
    }
    Match match{at, at, -1};
    std::size_t node = 0;
    for (std::size_t i = at; i < text.size(); ++i) {
      const auto next = nodes_[node].next.find(text[i]);
      if (next == nodes_[node].next.end()) break;
      node = static_cast<std::size_t>(next->second);
      if (nodes_[node].value >= 0) match = {at, i + 1, nodes_[node].value};
    }
    if (match.value >= 0) out.push_back(match);
    at = match.value >= 0 ? match.end : at + 1;
  }
  return out;
}

void AddedVocabulary::add(const std::vector<JsonAddedToken>& tokens, const ModelId& model_id, std::int64_t model_size) {
  for (const JsonAddedToken& token : tokens) {
    const std::string& content = token.rules.content;
    if (token.special && !content.empty() && special_.insert(content).second) special_list_.push_back(token);
  }
  for (const JsonAddedToken& token : tokens) {
    const std::string& content = token.rules.content;
    const std::int32_t known = id(content);
    if (content.empty() || (known >= 0 && by_id_.at(known) == token)) continue;
    std::int32_t own = known >= 0 ? known : model_id(content);
    if (own < 0) {
      own = static_cast<std::int32_t>(model_size);
      if (!by_id_.empty()) own = std::max(own, by_id_.rbegin()->first + 1);
    }
    ids_[content] = own;
    by_id_[own] = token;
    if (special_.count(content) == 0) plain_list_.push_back(token);
  }
}

void AddedVocabulary::finish(const std::vector<NormalizerStep>& steps, const std::string& where) {
  steps_ = &steps;
  for (const auto& [id, token] : by_id_) {
    AlignedText text(token.rules.content, 0);
    if (token.normalized) normalize(text, steps);
    spellings_[id] = text.text();
  }
  for (const std::vector<JsonAddedToken>* list : {&special_list_, &plain_list_}) {
    for (const JsonAddedToken& token : *list) {
      const std::string& content = token.rules.content;
      AlignedText text(content, 0);
      if (token.normalized) normalize(text, steps);
      if (text.text().empty() || text.text().size() > kLongestContent) {
        throw Error(Exit::bad_input,
                    fmt::format("{}: added_tokens: \"{}\": got a token that is {} bytes long once normalized, "
                                "wanted 1 to {}; use another tokenizer",
                                where, printable(content, 60), text.text().size(), kLongestContent));
      }
      (token.normalized ? normalized_ : raw_).add(text.text(), id(content));
    }
  }
}

const std::string* AddedVocabulary::spelling(std::int32_t id) const {
  const auto found = spellings_.find(id);
  return found == spellings_.end() ? nullptr : &found->second;
}

std::int32_t AddedVocabulary::id(const std::string& content) const {
  const auto found = ids_.find(content);
  return found == ids_.end() ? -1 : found->second;
}

std::vector<AddedVocabulary::Part> AddedVocabulary::parts(std::string_view text, const LongestMatcher& matcher,
                                                          bool split_special) const {
  std::vector<Part> out;
  std::size_t done = 0;
  for (const LongestMatcher::Match& match : matcher.find(text)) {
    const JsonAddedToken& token = by_id_.at(match.value);
    if (split_special && is_special(token.rules.content)) continue;
    std::size_t begin = match.begin, end = match.end;
    if (token.rules.single_word && (word_at_end(text.substr(0, begin)) || word_at_start(text.substr(end)))) continue;
    if (token.rules.lstrip) begin = std::max(begin - spaces_at_end(text.substr(0, begin)), done);
    if (token.rules.rstrip) end += spaces_at_start(text.substr(end));
    if (begin > done) out.push_back({done, begin, -1});
    if (begin < end) out.push_back({begin, end, match.value});  // else the token before took all of it
    done = std::max(done, end);
  }
  if (done < text.size()) out.push_back({done, text.size(), -1});
  return out;
}

void AddedVocabulary::cut(std::string_view text, bool split_special, const Sink& sink) const {
  for (const Part& part : parts(text, raw_, split_special)) {
    if (part.id >= 0) {
      sink.token(part.id, part.end);
      continue;
    }
    AlignedText aligned(text.substr(part.begin, part.end - part.begin), part.begin);
    normalize(aligned, *steps_);
    const std::vector<Part> inner = parts(aligned.text(), normalized_, split_special);
    if (inner.size() == 1 && inner[0].id < 0) {
      sink.text(std::move(aligned));
      continue;
    }
    for (const Part& one : inner) {
      if (one.id >= 0) {
        sink.token(one.id, aligned.end_of(one.end));
        continue;
      }
      AlignedTextBuilder builder(aligned, one.begin);
      builder.keep(one.begin, one.end);
      sink.text(builder.take());
    }
  }
}

}  // namespace templora
