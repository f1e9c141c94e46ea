#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace templora {

/// A hash map from pairs of ids to their merge; built once.
class MergeMap {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  struct Merge {
    std::uint32_t rank = kNone;  ///< lower ones first; kNone: the pair is not merged
    std::int32_t id = -1;
  };

  void reserve(std::size_t merges);
  void put(std::int32_t left, std::int32_t right, Merge merge);  ///< the last one of a pair counts
  Merge find(std::int32_t left, std::int32_t right) const {
    const std::uint64_t key = key_of(left, right);
    for (std::size_t at = slot_of(key);; ++at) {
      const Slot& slot = slots_[at & mask_];
      if (slot.key == key) return slot.merge;
      if (slot.key == kEmpty) return {};
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kEmpty;
    Merge merge;
  };
  static std::uint64_t key_of(std::int32_t left, std::int32_t right) {
    return std::uint64_t{static_cast<std::uint32_t>(left)} << 32 | static_cast<std::uint32_t>(right);
  }
  static std::size_t slot_of(std::uint64_t key) { return (key * 0x9E3779B97F4A7C15u) >> 24; }

  std::vector<Slot> slots_ = std::vector<Slot>(2);
  std::size_t mask_ = 1;
};

/// What a tokenizer.json's "model" says beside vocabulary and merges.
struct BpeSettings {
  bool byte_level = false;     ///< words are bytes, each of which has a piece; else characters
  bool byte_fallback = false;  ///< a character without a piece becomes its bytes' pieces <0x00> to <0xFF>
  bool fuse_unknown = false;   ///< characters without a piece, one after the other, become one unknown token
  bool ignore_merges = false;  ///< a word that is a piece is that piece
  std::optional<std::string> unknown;
};

/// Ids of the tokens of words, and of how many of the word's bytes each is made.
struct BpeTokens {
  std::vector<std::int32_t> ids;
  std::vector<std::uint32_t> bytes;
  void add(std::int32_t id, std::uint32_t size) {
    ids.push_back(id);
    bytes.push_back(size);
  }
};

/// Byte pair encoding, as Hugging Face's tokenizers compute it. Safe to use from several threads.
class BpeModel {
 public:
  /// `vocabulary`: pieces and ids, of byte-level ones in bytes; `merges`: pairs of pieces, first ones first, a pair of
  /// empty ones being none.
  /// Throws Error(bad_input) where a merge names a piece that is not there; `where` names the file.
  BpeModel(std::unordered_map<std::string, std::int32_t> vocabulary,
           const std::vector<std::pair<std::string, std::string>>& merges, BpeSettings settings, std::string where);

  /// Appends the tokens of a word of at most 64 MiB. Throws Error(bad_input) for a longer one, and where a character
  /// has no piece and the unknown token has none either.
  void encode(std::string_view word, BpeTokens& out) const;

  /// The id of a piece, -1 if there is none.
  std::int32_t id(std::string_view piece) const;

 private:
  void append_characters(std::string_view word, BpeTokens& out) const;
  void merge_short(BpeTokens& out, std::size_t first) const;
  void merge_long(BpeTokens& out, std::size_t first) const;

  std::unordered_map<std::string, std::int32_t> vocabulary_;
  std::unordered_map<char32_t, std::int32_t> characters_;
  std::array<std::int32_t, 256> bytes_{};  // ids of single bytes, -1 where there is none
  bool all_bytes_ = false;                 // every one has an id
  std::int32_t unknown_ = -1;
  MergeMap merges_;
  BpeSettings settings_;
  std::string where_;
};

/// Tokens of the words of one text that were seen before. Not for several threads.
class WordCache {
 public:
  WordCache();
  /// Appends the word's tokens, from the cache or else as `model` makes them.
  void encode(const BpeModel& model, std::string_view word, BpeTokens& out);

 private:
  struct Slot {
    std::uint64_t hash = 0;  // 0: free
    std::uint32_t word = 0, tokens = 0;
    std::uint16_t word_bytes = 0, token_count = 0;
  };
  void grow();

  std::vector<Slot> slots_;
  std::size_t used_ = 0;
  std::string words_;
  BpeTokens tokens_;
};

}  // namespace templora
