#pragma once

#include <filesystem>
#include <memory>

#include "text/tokenizer_engine.h"

namespace templora {

/// A `tokenizer.json` with the ids of Hugging Face's tokenizers 0.22 and later: byte pair encoding, byte-level or with
/// spaces spelled U+2581 and bytes to fall back to. What goes around a text is its post_processor's template. Its hash
/// is of pieces, merges, added tokens and steps, in whatever form they are written. `file`: the tokenizer.json;
/// `folder`: where tokenizer_config.json and the like are looked for, or empty. Throws Error(bad_input) naming the
/// field; what is not supported is refused by name.
std::unique_ptr<TokenizerEngine> open_json_tokenizer(const std::filesystem::path& file,
                                                     const std::filesystem::path& folder);

}  // namespace templora
