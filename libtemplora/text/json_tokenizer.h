#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer_engine.h"

namespace templora {

/// A `tokenizer.json` with the ids of Hugging Face's tokenizers 0.22 and later: byte pair encoding, byte-level or with
/// spaces spelled U+2581 and bytes to fall back to. What goes around a text is its post_processor's template.
class JsonTokenizer final : public TokenizerEngine {
 public:
  /// `file`: the tokenizer.json; `folder`: where tokenizer_config.json and the like are looked for, or empty.
  /// Throws Error(bad_input) naming the field; what is not supported is refused by name.
  JsonTokenizer(const std::filesystem::path& file, const std::filesystem::path& folder);
  ~JsonTokenizer() override;

  EncodedText encode(std::string_view text, bool special_tokens) const override;
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const override;
  std::int64_t token_id(std::string_view token) const override;
  std::int64_t mark_id(std::string_view token) const override;
  std::int64_t size() const override;
  std::int64_t bos_id() const override;
  std::int64_t eos_id() const override;
  bool adds_bos() const override;
  std::string hash() const override;  ///< of pieces, merges, added tokens and steps, in whatever form they are written

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace templora
