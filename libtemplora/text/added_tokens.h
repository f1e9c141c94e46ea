#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace templora {

/// A token that text is split at before sentencepiece sees it.
struct AddedToken {
  std::string content;
  bool single_word = false;  ///< only between spaces or at the text's ends
  bool lstrip = false;       ///< swallows white space on its left
  bool rstrip = false;       ///< swallows white space on its right
};

/// A piece of text between cuts. `begin` is where it starts in the text that was cut, in bytes.
struct Segment {
  std::string text;
  std::size_t begin = 0;
};

/// Finds added tokens in text exactly as transformers' `Trie.split` does: one pass, the leftmost match
/// first, among those the longest, with its lookahead as it is.
class AddedTokenTrie {
 public:
  AddedTokenTrie();
  void add(std::string_view token);
  /// Cuts valid UTF-8 into non-empty pieces that joined give the text.
  std::vector<Segment> split(std::string_view text) const;

 private:
  struct Node {
    std::map<char32_t, std::size_t> next;
    bool final = false;
  };
  struct State {
    std::size_t start;
    std::size_t node;
  };
  struct Match {
    std::size_t start;
    std::size_t end;
  };
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t child(std::size_t node, char32_t value) const;
  Match longest(std::string_view text, const std::vector<State>& states, std::size_t which, std::size_t current,
                std::size_t& skip) const;

  std::vector<Node> nodes_;
};

/// Applies the tokens' lstrip, rstrip and single_word to what `split` gave, in place. A segment whose
/// text becomes empty stays and stands for nothing.
void apply_token_rules(std::vector<Segment>& segments, const std::unordered_map<std::string, AddedToken>& tokens);

}  // namespace templora
