#pragma once

#include <vector>

#include "text/normalizer.h"

namespace templora {

/// One step of a tokenizer.json's "pre_tokenizer".
struct PreTokenizerStep {
  enum class Kind { split, digits, metaspace, byte_level } kind = Kind::split;

  /// What becomes of what was matched: pieces of its own (runs of them joined: contiguous), parts of the piece before
  /// or after, or nothing.
  enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };
  Behavior behavior = Behavior::isolated;
  TextPattern pattern;  ///< of split, and of byte_level with its regular expression
  bool invert = false;  ///< split: what is not matched counts as matched

  enum class Prepend { always, first, never };
  Prepend prepend = Prepend::always;  ///< metaspace: where a replacement is put in front
  std::string replacement;            ///< metaspace: what stands for a space
  bool splits = true;                 ///< metaspace: split before each replacement; byte_level: has a pattern
  bool add_prefix_space = false;      ///< byte_level
};

/// Applies the steps, one after the other, to each piece that the ones before made. Pieces that are empty go.
void pre_tokenize(TextPieces& pieces, const std::vector<PreTokenizerStep>& steps);

}  // namespace templora
