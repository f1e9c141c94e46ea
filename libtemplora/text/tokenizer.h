#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace templora {

/// Ids of a text and where in it they end.
struct EncodedText {
  std::vector<std::int64_t> ids;
  std::vector<std::size_t> ends;  ///< bytes; as many as ids
};

/// A sentencepiece `tokenizer.model` with the conventions of transformers 4.57's slow LlamaTokenizer
/// (`use_fast=False`): text is split at added tokens first, `legacy` is honoured both ways, a model
/// trained without a dummy prefix (Yi) gets none, BOS and EOS as tokenizer_config.json says.
/// Ids are those of `tokenizer.encode(text)`.
class Tokenizer {
 public:
  /// `path`: a folder holding tokenizer.model (tokenizer_config.json, added_tokens.json and
  /// special_tokens_map.json, tokenizer.json's added tokens are read as 4.57 does) or a tokenizer.model itself.
  /// Throws Error(bad_input) naming the file and the field.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;

  /// UTF-8 text to ids; with `special_tokens`, BOS/EOS are added as the config says.
  /// Throws Error(bad_input) if the text is not UTF-8.
  std::vector<std::int64_t> encode(std::string_view text, bool special_tokens) const;

  /// The same, and for each id how many first bytes of `text` it and the ids before it stand for. They never
  /// fall. BOS stands for nothing, EOS for everything; of a character spelled in bytes, the last one counts.
  EncodedText encode_with_ends(std::string_view text, bool special_tokens) const;

  /// Ids back to text as `tokenizer.decode(ids, skip_special_tokens=...)` gives it.
  /// Throws Error(bad_input) naming an id that stands for nothing.
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const;

  /// Id of an exact piece or added token; -1 if there is none.
  std::int64_t token_id(std::string_view token) const;

  /// The same where the token stands apart from text: a special or added token, or a control piece. Decoding may drop
  /// it, and no other token spells it. -1 for a piece of ordinary text.
  std::int64_t mark_id(std::string_view token) const;

  /// Number of ids, added tokens included: every id is below it.
  std::int64_t size() const;
  std::int64_t bos_id() const;  ///< -1 if none
  std::int64_t eos_id() const;  ///< -1 if none
  bool adds_bos() const;

  /// Hash of the sentencepiece model and the settings that change ids.
  std::string hash() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace templora
