#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer_engine.h"

namespace templora {

/// A model's tokenizer: a sentencepiece `tokenizer.model` with the ids of transformers 4.57's slow LlamaTokenizer
/// (text/slow_tokenizer.h), or a `tokenizer.json` with those of Hugging Face's tokenizers (text/json_tokenizer.h). Of a
/// folder that has both, the first is taken where the class that it names starts with "Llama", or none is named.
class Tokenizer {
 public:
  /// `path`: a folder that holds one of the two and the JSON files beside it, or the file alone, without what others
  /// beside it say. Throws Error(bad_input) naming the file and the field.
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
  std::int64_t special_token_id(std::string_view token) const;

  /// Number of ids, added tokens included: every id is below it.
  std::int64_t size() const;
  std::int64_t bos_id() const;  ///< -1 if none
  std::int64_t eos_id() const;  ///< -1 if none
  bool adds_bos() const;

  /// Hash of what changes ids: of the same tokenizer in another form of the same kind, the same.
  std::string hash() const;

  /// The file that was read and why it was, such as "m/tokenizer.json (tokenizer_class Qwen2Tokenizer)".
  const std::string& source() const { return source_; }
  /// Whether that says more than that a folder has a tokenizer.model and nothing else to choose.
  bool had_choice() const { return had_choice_; }

 private:
  std::unique_ptr<TokenizerEngine> engine_;
  std::string source_;
  bool had_choice_ = true;
};

/// Whether a tokenizer's file is a tokenizer.json rather than a sentencepiece model.
bool is_tokenizer_json(std::string_view bytes);

}  // namespace templora
