#pragma once

#include <optional>
#include <string>
#include <vector>

#include "text/aligned_text.h"

namespace templora {

/// What stands for a place in a text: a fixed text or a regular expression.
struct TextPattern {
  std::string literal;  ///< looked for where there is no regex; not empty then
  std::optional<SplitPattern> regex;

  /// Appends spans that cover `text`, moved by `offset`, as SplitPattern::split.
  void split(std::string_view text, std::size_t offset, std::vector<Span>& out) const;
};

/// One step of a tokenizer.json's "normalizer".
struct NormalizerStep {
  enum class Kind { nfc, prepend, replace } kind = Kind::nfc;
  TextPattern pattern;  ///< what is replaced
  std::string content;  ///< what is prepended, or put in the place of each match
};

/// Applies the steps to a piece of text between added tokens.
void normalize(AlignedText& text, const std::vector<NormalizerStep>& steps);

}  // namespace templora
