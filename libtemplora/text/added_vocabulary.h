#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "text/added_tokens.h"
#include "text/aligned_text.h"
#include "text/normalizer.h"

namespace templora {

/// What an id in a tokenizer's JSON may be at most.
inline constexpr std::int64_t kLargestJsonId = (std::int64_t{1} << 28) - 1;

/// An added token of a tokenizer.json.
struct JsonAddedToken {
  AddedToken rules;
  bool normalized = true;  ///< looked for in normalized text, and normalized itself
  bool special = false;    ///< may be left out when decoding
  bool operator==(const JsonAddedToken& other) const;
};

/// Finds the leftmost occurrence of any of some texts, of those the longest.
class LongestMatcher {
 public:
  LongestMatcher() : nodes_(1) {}
  /// `value` comes with each match; of two equal texts the first one's.
  void add(std::string_view text, std::int32_t value);
  struct Match {
    std::size_t begin, end;
    std::int32_t value;
  };
  /// All matches, from left to right, none overlapping the one before.
  std::vector<Match> find(std::string_view text) const;

 private:
  struct Node {
    std::map<char, std::int32_t> next;
    std::int32_t value = -1;
  };
  std::vector<Node> nodes_;
};

/// Added tokens and how text is cut at them, as Hugging Face's tokenizers do it: those that are not normalized are
/// found first, in the text as it is, then the others in what is left, normalized.
class AddedVocabulary {
 public:
  /// The id of a piece of the model, -1 if there is none, and how many pieces it has.
  using ModelId = std::function<std::int32_t(const std::string&)>;

  /// Adds tokens in the order in which they come: one whose text is known keeps its id, another one gets the next.
  void add(const std::vector<JsonAddedToken>& tokens, const ModelId& model_id, std::int64_t model_size);
  /// To be called after the last add(). `steps` must outlive this object.
  void finish(const std::vector<NormalizerStep>& steps, const std::string& where);

  /// Where text between two added tokens goes, or the id of such a token, which ends at byte `end` of the whole text.
  struct Sink {
    std::function<void(AlignedText&&)> text;
    std::function<void(std::int32_t id, std::size_t end)> token;
  };
  /// Cuts the text; special tokens stay text where `split_special`.
  void cut(std::string_view text, bool split_special, const Sink& sink) const;

  std::int32_t id(const std::string& content) const;  ///< -1 if there is none
  const std::map<std::int32_t, JsonAddedToken>& by_id() const { return by_id_; }
  bool is_special(const std::string& content) const { return special_.count(content) != 0; }
  /// The text that an added token decodes to: its normal form where it is normalized, which need not be in the special
  /// tokens then. Null for an id that is none's.
  const std::string* spelling(std::int32_t id) const;

 private:
  struct Part {
    std::size_t begin, end;
    std::int32_t id;  // -1: text
  };
  std::vector<Part> parts(std::string_view text, const LongestMatcher& matcher, bool split_special) const;

  std::map<std::int32_t, JsonAddedToken> by_id_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::unordered_map<std::int32_t, std::string> spellings_;
  std::vector<JsonAddedToken> special_list_, plain_list_;  // in the order in which they were added
  std::unordered_set<std::string> special_;
  LongestMatcher raw_, normalized_;
  const std::vector<NormalizerStep>* steps_ = nullptr;
};

}  // namespace templora
