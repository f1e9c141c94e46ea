#include "text/added_tokens.h"


#include "core/utf8.h"

namespace templora {

AddedTokenTrie::AddedTokenTrie() : nodes_(1) {}

void AddedTokenTrie::add(std::string_view token) {
  if (token.empty()) return;
  std::size_t node = 0;
  for (std::size_t offset = 0; offset < token.size();) {
    const CodePoint point = code_point_at(token, offset);
    std::size_t next = child(node, point.value);
    if (next == kNone) {
      next = nodes_.size();
      nodes_[node].next.emplace(point.value, next);
      nodes_.emplace_back();
    }
    node = next;
    offset += point.bytes;
  }
  nodes_[node].final = true;
}

std::size_t AddedTokenTrie::child(std::size_t node, char32_t value) const {
  const auto& next = nodes_[node].next;
  const auto found = next.find(value);
  return found == next.end() ? kNone : found->second;
}

// states[which] is complete at `current`. Earlier starts may still give a longer token, so they are followed
// as well. They were (or failed to be) moved over the current character already, hence the step over it.
AddedTokenTrie::Match AddedTokenTrie::longest(std::string_view text, const std::vector<State>& states,
                                              std::size_t which, std::size_t current, std::size_t& skip) const {
  const std::size_t after_current = current + code_point_at(text, current).bytes;
  Match match{states[which].start, current};
  for (std::size_t i = 0; i < states.size(); ++i) {
    // The reference compares with a start that a longer match of this very loop may have moved back.
    if (states[i].start > match.start) break;
    std::size_t ahead = states[i].start < match.start ? after_current : current;
    match.end = ahead;
    std::size_t node = states[i].node;
    const auto take = [&] {
      match = {states[i].start, ahead};
      skip = ahead;
    };
    if (nodes_[node].final) take();
    while (ahead < text.size()) {
      const CodePoint point = code_point_at(text, ahead);
      const std::size_t next = child(node, point.value);
      if (next == kNone) break;
      node = next;
      ahead += point.bytes;
      if (nodes_[node].final) take();
    }
  }
  return match;
}

std::vector<Segment> AddedTokenTrie::split(std::string_view text) const {
  std::vector<State> states;  // partial matches, in the order of their starts
  std::vector<std::size_t> cuts;
  std::size_t skip = 0;
  for (std::size_t current = 0; current < text.size();) {
    const CodePoint point = code_point_at(text, current);
    if (current < skip) {
      current += point.bytes;
      continue;
    }
    bool reset = false;
    std::vector<std::size_t> failed;
    for (std::size_t i = 0; i < states.size(); ++i) {
      if (nodes_[states[i].node].final) {
        const Match match = longest(text, states, i, current, skip);
        cuts.push_back(match.start);
        cuts.push_back(match.end);
        reset = true;
        break;
      }
      const std::size_t next = child(states[i].node, point.value);
      if (next == kNone) {
        failed.push_back(i);
      } else {
        states[i].node = next;
      }
    }
    if (reset) {
      states.clear();
    } else {
      for (auto i = failed.rbegin(); i != failed.rend(); ++i) {
        states.erase(states.begin() + static_cast<std::ptrdiff_t>(*i));
      }
    }
    if (current >= skip) {
      const std::size_t first = child(0, point.value);
      if (first != kNone) states.push_back({current, first});
    }
    current += point.bytes;
  }
  for (const State& state : states) {
    if (!nodes_[state.node].final) continue;
    cuts.push_back(state.start);
    cuts.push_back(text.size());
    break;
  }
  cuts.push_back(text.size());

  std::vector<Segment> segments;
  std::size_t start = 0;
  for (const std::size_t end : cuts) {
    if (end <= start) continue;
    segments.push_back({std::string(text.substr(start, end - start)), start});
    start = end;
  }
  return segments;
}

void apply_token_rules(std::vector<Segment>& segments, const std::unordered_map<std::string, AddedToken>& tokens) {
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const auto found = tokens.find(segments[i].text);
    if (found == tokens.end()) continue;
    const AddedToken& token = found->second;
    // As they were before this token's own stripping: single_word looks at these.
    const std::string left = i > 0 ? segments[i - 1].text : std::string();
    const std::string right = i + 1 < segments.size() ? segments[i + 1].text : std::string();
    if (token.rstrip && !right.empty()) {
      const std::string_view kept = strip_left(right);
      segments[i + 1].begin += right.size() - kept.size();
      segments[i + 1].text = std::string(kept);
    }
    if (token.lstrip && !left.empty()) segments[i - 1].text = std::string(strip_right(left));
    if (!token.single_word) continue;
    if (!left.empty() && left.back() != ' ') {
      segments[i - 1].text += token.content;
      segments[i].text.clear();
    } else if (!right.empty() && right.front() != ' ') {
      segments[i + 1].text = token.content + segments[i + 1].text;
      segments[i + 1].begin = segments[i].begin;
      segments[i].text.clear();
    }
  }
}

}  // namespace templora
