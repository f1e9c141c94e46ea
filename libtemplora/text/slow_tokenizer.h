#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer_engine.h"
#include "text/tokenizer_files.h"

namespace templora {

/// A sentencepiece `tokenizer.model` with the conventions of transformers 4.57's slow LlamaTokenizer
/// (`use_fast=False`): text is split at added tokens first, `legacy` is honoured both ways, a model
/// trained without a dummy prefix (Yi) gets none, BOS and EOS as tokenizer_config.json says.
/// Ids are those of `tokenizer.encode(text)`.
class SlowTokenizer final : public TokenizerEngine {
 public:
  /// `file`: the tokenizer.model; `settings`: what the files beside it say. Throws Error(bad_input).
  SlowTokenizer(const std::filesystem::path& file, TokenizerSettings settings);
  ~SlowTokenizer() override;

  EncodedText encode(std::string_view text, bool special_tokens) const override;
  std::string decode(const std::vector<std::int64_t>& ids, bool skip_special_tokens) const override;
  std::int64_t token_id(std::string_view token) const override;
  std::int64_t mark_id(std::string_view token) const override;
  std::int64_t size() const override;
  std::int64_t bos_id() const override;
  std::int64_t eos_id() const override;
  bool adds_bos() const override;
  std::string hash() const override;  ///< of the sentencepiece model and the settings that change ids

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace templora
