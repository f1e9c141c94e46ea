#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer_engine.h"
#include "text/tokenizer_files.h"

namespace templora {

/// A sentencepiece `tokenizer.model` with the conventions of transformers 4.57's slow LlamaTokenizer
/// (`use_fast=False`): text is split at added tokens first, `legacy` is honoured both ways, a model
/// trained without a dummy prefix (Yi) gets none, BOS and EOS as tokenizer_config.json says.
/// Ids are those of `tokenizer.encode(text)`; its hash is of the sentencepiece model and the settings that change ids.
/// `file`: the tokenizer.model; `settings`: what the files beside it say. Throws Error(bad_input).
std::unique_ptr<TokenizerEngine> open_slow_tokenizer(const std::filesystem::path& file, TokenizerSettings settings);

}  // namespace templora
