#pragma once

#include <string>
#include <vector>

#include "text/normalizer.h"

namespace templora {

/// One step of a tokenizer.json's "decoder".
struct DecoderStep {
  enum class Kind { byte_level, byte_fallback, fuse, replace, strip, metaspace } kind = Kind::fuse;
  TextPattern pattern;              ///< replace
  std::string content;              ///< replace: what stands in the pattern's place; strip: the character to take away
  std::size_t start = 0, stop = 0;  ///< strip: how many at most, at a token's start and end
  std::string replacement;          ///< metaspace: what stands for a space
  bool drops_first = false;         ///< metaspace: those of the first token stand for nothing
};

/// Text of tokens, given as the pieces that tokenizer.json writes; joined by spaces where there is no step.
std::string decode_tokens(std::vector<std::string> tokens, const std::vector<DecoderStep>& steps);

/// The character that stands for a byte in byte-level pieces.
char32_t byte_level_character(unsigned char byte);

/// The bytes that a byte-level piece spells; false where it has other characters, and `out` is then unspecified.
bool byte_level_bytes(std::string_view piece, std::string& out);

}  // namespace templora
